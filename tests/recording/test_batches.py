"""What compiled loops take from a batch is what arrays give, on the processor and on another device."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from neurogloss.recording.batches import (
    DeviceActivations,
    ExcerptNeuronPairs,
    HostActivations,
    LayerActivations,
    TokenGroups,
    layer_activations,
)
from neurogloss.recording.kernels import BLOCK_ROWS

EXCERPTS, NEURONS = 21, 6
WAYS = pytest.mark.parametrize("way", [HostActivations, DeviceActivations])
LENGTHS = pytest.mark.parametrize("length", [1, 7, BLOCK_ROWS, 2 * BLOCK_ROWS + 3])
Way = Callable[[torch.Tensor], LayerActivations]


def activations(length: int) -> torch.Tensor:
    """Of all sizes that float16 knows and some that it does not, behind one token that is left out."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(EXCERPTS, length + 1, NEURONS)) * 10.0 ** rng.integers(-9, 4, (EXCERPTS, length + 1, NEURONS))
    return torch.from_numpy(values.astype(np.float32))[:, 1:]


@WAYS
@LENGTHS
def test_a_sweep_gives_the_maxima_and_the_sums(way: Way, length: int) -> None:
    values = activations(length)
    numbers = values.numpy().astype(np.float64)
    shift, maxima, sums = way(values).sweep()
    np.testing.assert_allclose(shift, numbers[0].mean(axis=0), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(maxima.view(np.float16), np.clip(values.numpy().max(axis=1), -65504, 65504).astype(np.float16))
    deviations = (numbers - shift).reshape(-1, NEURONS)
    for power in range(4):
        size = (np.abs(deviations) ** (power + 1)).sum(axis=0)
        assert (np.abs(sums[power] - (deviations ** (power + 1)).sum(axis=0)) <= 1e-5 * size).all()
    np.testing.assert_array_equal(sums[4], (numbers > 0).sum(axis=(0, 1)))


@WAYS
@LENGTHS
def test_pairs_are_copied_to_their_places(way: Way, length: int) -> None:
    values, into = activations(length), np.zeros((NEURONS, 2, length), np.uint16)
    pairs = ExcerptNeuronPairs(*(np.array(part) for part in ([0, 4, 4, 20], [1, 0, 5, 2], [0, 1, 0, 1])))
    way(values).copy(pairs, into)
    expected = np.zeros(into.shape, np.float16)
    for excerpt, neuron, place in zip(*pairs, strict=True):
        expected[neuron, place] = np.clip(values.numpy()[excerpt, :, neuron], -65504, 65504)
    np.testing.assert_array_equal(into, expected.view(np.uint16))


@WAYS
@LENGTHS
def test_token_sums_are_exact(way: Way, length: int) -> None:
    values = activations(length)
    entries = np.random.default_rng(1).integers(-1, 4, EXCERPTS * length)
    order = np.argsort(entries, kind="stable")[np.count_nonzero(entries < 0) :]
    present, starts = np.unique(entries[order], return_index=True)
    sums = np.zeros((4, NEURONS))
    way(values).add_tokens(TokenGroups(present, order, np.append(starts, len(order))), sums)
    near = np.clip(values.numpy(), -65504, 65504).astype(np.float16).astype(np.float64).reshape(-1, NEURONS)
    expected = np.stack([near[entries == entry].sum(axis=0) for entry in range(4)])
    np.testing.assert_array_equal(sums, expected)


@WAYS
def test_every_kind_of_number_is_rounded_as_float16_rounds(way: Way) -> None:
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    halves = np.sort(halves[np.isfinite(halves)].astype(np.float32))
    between = (halves[1:] + halves[:-1]) / 2
    numbers = [halves, between, *(np.nextafter(between, side) for side in (np.float32(-np.inf), np.float32(np.inf)))]
    values = np.concatenate([*numbers, np.float32([70000, -1e30])])[None, None]  # Each number a neuron of its own.
    count = values.shape[2]
    into = np.zeros((count, 1, 1), np.uint16)
    way(torch.from_numpy(values)).copy(ExcerptNeuronPairs(np.zeros(count, np.int64), np.arange(count), np.zeros(count, np.int64)), into)
    expected = np.clip(values[0, 0], -65504, 65504).astype(np.float16)
    np.testing.assert_array_equal(into[:, 0, 0], expected.view(np.uint16))
    sums = np.zeros((1, count))
    one = np.zeros(1, np.int64)
    way(torch.from_numpy(values)).add_tokens(TokenGroups(one, one, np.array([0, 1])), sums)
    np.testing.assert_array_equal(sums[0], expected.astype(np.float64))


@WAYS
def test_what_float16_cannot_hold_is_counted(way: Way) -> None:
    values = torch.zeros((2, 3, NEURONS))
    values[0, 1, 3], values[1, 2, 4], values[0, 0, 0] = 65505.0, -1e6, 65504.0
    assert way(values).beyond() == 2


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@WAYS
def test_what_is_not_finite_shows_in_the_sums(way: Way, value: float) -> None:
    values = torch.zeros((2, 5, NEURONS))
    values[1, 4, 3] = value
    sums = way(values).sweep().sums
    assert np.flatnonzero(~np.isfinite(sums).all(axis=0)).tolist() == [3]


def test_activations_in_any_order_of_memory_are_read() -> None:
    values = activations(6)
    turned = values.permute(2, 0, 1).contiguous().permute(1, 2, 0)
    assert not turned.is_contiguous()
    for found, expected in zip(layer_activations(turned).sweep(), layer_activations(values).sweep(), strict=True):
        np.testing.assert_array_equal(found, expected)
