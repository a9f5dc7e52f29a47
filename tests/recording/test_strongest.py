"""The strongest excerpts are exactly those of a full sort, in whatever order they arrive."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from neurogloss.recording.kernels import enter, merge
from neurogloss.recording.strongest import excerpts_of, keys_of, no_keys


@settings(deadline=None)  # The first example waits for the compiler.
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 9), st.integers(1, 4))
def test_streaming_keeps_what_a_full_sort_keeps(seed: int, top: int, batch: int, neurons: int) -> None:
    rng = np.random.default_rng(seed)
    maxima = rng.integers(-3, 3, (neurons, 30)).astype(np.float16)  # Few values, so many ties.
    barred = rng.random(maxima.shape) < 0.2
    barred[:, :top] = False
    held = no_keys(neurons, top)
    for first in range(0, 30, batch):
        shown = np.ascontiguousarray(maxima[:, first : first + batch].T)
        before = held.copy()
        excerpts, rows, places = enter(held, shown.view(np.uint16), first, *np.nonzero(barred[:, first : first + batch].T))
        assert (np.diff(excerpts) >= 0).all()
        before[rows, places] = keys_of(shown[excerpts, rows], first + excerpts)
        np.testing.assert_array_equal(before, held)
    for neuron in range(neurons):
        free = np.flatnonzero(~barred[neuron])
        expected = free[np.argsort(-maxima[neuron, free], kind="stable")][:top]
        np.testing.assert_array_equal(excerpts_of(np.sort(held[neuron])[::-1]), expected)


def test_the_order_of_arrival_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    keys = keys_of(rng.normal(size=(5, 40)).astype(np.float16), np.arange(40))
    forward, backward = no_keys(5, 7), no_keys(5, 7)
    for part in np.split(keys, 8, axis=1):
        merge(forward, part)
    for part in np.split(keys, 4, axis=1)[::-1]:
        merge(backward, part)
    np.testing.assert_array_equal(np.sort(forward), np.sort(backward))


@given(st.lists(st.floats(width=16, allow_nan=False), min_size=2, max_size=20))
def test_keys_order_like_the_numbers(values: list[float]) -> None:
    array = np.array(values, np.float16)
    np.testing.assert_array_equal(np.argsort(-keys_of(array, np.arange(len(array)))), np.argsort(-(array + np.float16(0)), kind="stable"))
