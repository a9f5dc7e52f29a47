"""What compiled loops take from a batch is what arrays give, on the processor and on another device."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from stages.subject.kernels import BLOCK_ROWS
from stages.subject.seen import InMemory, Kept, Listed, OnDevice, Pairs, Seen, shown
from stages.subject.strongest import excerpts_of, keys_of, no_keys

EXCERPTS, NEURONS, TOP, FIRST, STOP = 21, 9, 3, 2, 8
WAYS = pytest.mark.parametrize("way", [InMemory, OnDevice])
LENGTHS = pytest.mark.parametrize("length", [1, 7, BLOCK_ROWS, 2 * BLOCK_ROWS + 3])
Way = Callable[[torch.Tensor], Seen]


def activations(length: int) -> torch.Tensor:
    """Of all sizes that float16 knows and some that it does not, behind one token that is left out."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(EXCERPTS, length + 1, NEURONS)) * 10.0 ** rng.integers(-9, 4, (EXCERPTS, length + 1, NEURONS))
    return torch.from_numpy(values.astype(np.float32))[:, 1:]


def empty(length: int) -> Kept:
    count = STOP - FIRST
    return Kept(no_keys(count, TOP), np.zeros((count, TOP, length), np.uint16), np.zeros((count, 2, length), np.uint16))


@WAYS
@LENGTHS
def test_a_batch_gives_the_strongest_the_drawn_and_the_sums(way: Way, length: int) -> None:
    values = activations(length)
    mine, shift = values.numpy()[:, :, FIRST:STOP], np.linspace(-1, 1, STOP - FIRST, dtype=np.float32)
    kept, drawn = empty(length), Pairs(*(np.array(part) for part in ([0, 4, 4, 20], [1, 0, 5, 2], [0, 1, 0, 1])))
    sums = way(values).take_in(FIRST, shift, 100, drawn, kept)
    expected = np.clip(mine, -65504, 65504).astype(np.float16)
    deviations = (mine.astype(np.float64) - shift).reshape(-1, len(shift))
    np.testing.assert_allclose(sums[:4], [(deviations**power).sum(axis=0) for power in (1, 2, 3, 4)], rtol=1e-4, atol=1e-2)
    np.testing.assert_array_equal(sums[4], (mine > 0).sum(axis=(0, 1)))
    for excerpt, neuron, slot in zip(*drawn, strict=True):
        np.testing.assert_array_equal(kept.random.view(np.float16)[neuron, slot], expected[excerpt, :, neuron])
    keys = keys_of(expected.max(axis=1).T, 100 + np.arange(EXCERPTS))
    keys[drawn.neurons, drawn.excerpts] = -(1 << 62)
    np.testing.assert_array_equal(np.sort(kept.keys, axis=1), np.sort(keys, axis=1)[:, -TOP:])
    for neuron, excerpts in enumerate(excerpts_of(kept.keys) - 100):
        np.testing.assert_array_equal(kept.top.view(np.float16)[neuron], expected[excerpts, :, neuron])


@WAYS
@LENGTHS
def test_token_sums_are_exact(way: Way, length: int) -> None:
    values = activations(length)
    entries = np.random.default_rng(1).integers(-1, 4, EXCERPTS * length)
    order = np.argsort(entries, kind="stable")[np.count_nonzero(entries < 0) :]
    present, starts = np.unique(entries[order], return_index=True)
    sums = np.zeros((4, NEURONS))
    way(values).add_tokens(FIRST, STOP, Listed(present, order, np.append(starts, len(order))), sums)
    near = np.clip(values.numpy(), -65504, 65504).astype(np.float16).astype(np.float64).reshape(-1, NEURONS)
    expected = np.stack([near[entries == entry].sum(axis=0) for entry in range(4)])
    expected[:, :FIRST] = expected[:, STOP:] = 0
    np.testing.assert_array_equal(sums, expected)


@WAYS
def test_every_kind_of_number_is_rounded_as_float16_rounds(way: Way) -> None:
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    halves = np.sort(halves[np.isfinite(halves)].astype(np.float32))
    between = (halves[1:] + halves[:-1]) / 2
    numbers = [halves, between, *(np.nextafter(between, side) for side in (np.float32(-np.inf), np.float32(np.inf)))]
    values = np.concatenate([*numbers, np.float32([70000, -1e30])])[None, None]  # Each number a neuron of its own.
    count = values.shape[2]
    kept = Kept(no_keys(count, 1), np.zeros((count, 1, 1), np.uint16), np.zeros((count, 1, 1), np.uint16))
    everybody = Pairs(np.zeros(count, np.int64), np.arange(count), np.zeros(count, np.int64))
    way(torch.from_numpy(values)).take_in(0, np.zeros(count, np.float32), 0, everybody, kept)
    expected = np.clip(values[0, 0], -65504, 65504).astype(np.float16)
    np.testing.assert_array_equal(kept.random[:, 0, 0], expected.view(np.uint16))
    sums = np.zeros((1, count))
    one = np.zeros(1, np.int64)
    way(torch.from_numpy(values)).add_tokens(0, count, Listed(one, one, np.array([0, 1])), sums)
    np.testing.assert_array_equal(sums[0], expected.astype(np.float64))


@WAYS
def test_what_float16_cannot_hold_is_counted(way: Way) -> None:
    values = torch.zeros((2, 3, NEURONS))
    values[0, 1, 3], values[1, 2, 4], values[0, 0, 0] = 65505.0, -1e6, 1e6
    assert way(values).beyond(FIRST, STOP) == 2


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@WAYS
def test_what_is_not_finite_shows_in_the_sums(way: Way, value: float) -> None:
    values = torch.zeros((2, 5, NEURONS))
    values[1, 4, 3] = value
    none = Pairs(*(np.zeros(0, np.int64) for _ in range(3)))
    sums = way(values).take_in(FIRST, np.zeros(STOP - FIRST, np.float32), 0, none, empty(5))
    assert np.flatnonzero(~np.isfinite(sums).all(axis=0)).tolist() == [3 - FIRST]


def test_activations_in_any_order_of_memory_are_read() -> None:
    values = activations(6)
    turned = values.permute(2, 0, 1).contiguous().permute(1, 2, 0)
    assert not turned.is_contiguous()
    none, shift = Pairs(*(np.zeros(0, np.int64) for _ in range(3))), np.zeros(STOP - FIRST, np.float32)
    found = [shown(way).take_in(FIRST, shift, 0, none, empty(6)) for way in (values, turned)]
    np.testing.assert_array_equal(found[0], found[1])
