"""The strongest excerpts are exactly those of a full sort, in whatever order they arrive."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from neurogloss.recording.kernels import enter, merge
from neurogloss.recording.strongest import excerpts_of, keys_of, no_keys


@settings(deadline=None)  # The first example waits for the compiler.
@given(st.integers(0, 2**32 - 1), st.integers(0, 6), st.integers(0, 3), st.integers(1, 9), st.integers(1, 4))
def test_streaming_keeps_what_a_full_sort_keeps_on_either_side(seed: int, others: int, held_out: int, batch: int, neurons: int) -> None:
    rng = np.random.default_rng(seed)
    maxima = rng.integers(-3, 3, (neurons, 40)).astype(np.float16)  # Few values, so many ties.
    sides = (rng.random(40) < 0.3).astype(np.int64)
    sides[:4], sides[4:10] = 1, 0
    barred = rng.random(maxima.shape) < 0.2
    barred[:, :10] = False
    held = no_keys(neurons, others + held_out)
    for first in range(0, 40, batch):
        shown = np.ascontiguousarray(maxima[:, first : first + batch].T)
        before = held.copy()
        here = sides[first : first + batch]
        excerpts, rows, places = enter(held, others, here, shown.view(np.uint16), first, *np.nonzero(barred[:, first : first + batch].T))
        assert (np.diff(excerpts) >= 0).all()
        before[rows, places] = keys_of(shown[excerpts, rows], first + excerpts)
        np.testing.assert_array_equal(before, held)
    for neuron in range(neurons):
        for side, kept in enumerate((held[neuron, :others], held[neuron, others:])):
            free = np.flatnonzero(~barred[neuron] & (sides == side))
            expected = free[np.argsort(-maxima[neuron, free], kind="stable")][: len(kept)]
            np.testing.assert_array_equal(excerpts_of(np.sort(kept)[::-1]), expected)


def test_the_order_of_arrival_does_not_matter_and_nothing_crosses_the_border() -> None:
    rng = np.random.default_rng(0)
    keys = keys_of(rng.normal(size=(5, 42)).astype(np.float16), np.arange(42))
    forward, backward, border = no_keys(5, 7), no_keys(5, 7), 4
    parts = np.split(keys, 6, axis=1)
    for part in parts:
        merge(forward, border, part)
    for part in parts[::-1]:
        merge(backward, border, part)
    for side in (slice(None, border), slice(border, None)):
        np.testing.assert_array_equal(np.sort(forward[:, side]), np.sort(backward[:, side]))
        offered = np.concatenate([part[:, side] for part in parts], axis=1)
        np.testing.assert_array_equal(np.sort(forward[:, side]), np.sort(offered)[:, -forward[:, side].shape[1] :])


@given(st.lists(st.floats(width=16, allow_nan=False), min_size=2, max_size=20))
def test_keys_order_like_the_numbers(values: list[float]) -> None:
    array = np.array(values, np.float16)
    np.testing.assert_array_equal(np.argsort(-keys_of(array, np.arange(len(array)))), np.argsort(-(array + np.float16(0)), kind="stable"))
