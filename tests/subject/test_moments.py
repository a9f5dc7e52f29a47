"""Moments joined from shards equal those of all numbers together."""

import numpy as np
import pytest
import torch

from stages.subject.layer import sweep_chunk, sweep_on_device
from stages.subject.moments import Moments, from_powers, join, no_moments


def of(values: np.ndarray) -> Moments:
    """Moments as a shard makes them, from float32 sums about the first row."""
    single = values.astype(np.float32)
    _, sums = sweep_chunk(single.reshape(4, -1, single.shape[1]), single[0])
    return from_powers(len(values), single[0].astype(np.float64), sums[:4])


@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_joined_shards_equal_all_numbers_together(offset: float) -> None:
    rng = np.random.default_rng(0)
    values = rng.gamma(2.0, 1.0, (3, 400, 6)) * [0.01, 1, 1, 5, 100, 1] + offset
    joined = no_moments(6)
    for shard in values:
        joined = join(joined, of(shard))
    flat = values.reshape(-1, 6)
    centred = flat - flat.mean(axis=0)
    assert joined.count == len(flat)
    np.testing.assert_allclose(joined.mean, flat.mean(axis=0), rtol=1e-6)
    keep = slice(1, None) if offset else slice(None)  # The smallest scale drowns in float32 at an offset of 100.
    np.testing.assert_allclose(joined.variance[keep], flat.var(axis=0)[keep], rtol=1e-4)
    for power in (3, 4):
        expected = (centred**power).mean(axis=0) / flat.var(axis=0) ** (power / 2)
        np.testing.assert_allclose(joined.standardised(power)[keep], expected[keep], rtol=1e-3)


def test_a_constant_neuron_has_no_skewness_and_no_kurtosis() -> None:
    constant = of(np.full((8, 2), 0.7))
    np.testing.assert_allclose(constant.mean, 0.7, rtol=1e-6)
    assert (constant.variance == 0).all()
    assert np.isnan(constant.standardised(3)).all()
    assert np.isnan(constant.standardised(4)).all()


def test_both_ways_to_sum_a_batch_agree() -> None:
    values = np.random.default_rng(0).normal(0.2, 1.0, (9, 150, 5)).astype(np.float32)
    shift = np.linspace(-1, 1, 5, dtype=np.float32)
    maxima, sums = sweep_chunk(values, shift)
    on_device, sums_on_device = sweep_on_device(torch.from_numpy(values), torch.from_numpy(shift))
    np.testing.assert_array_equal(maxima, on_device.numpy())
    np.testing.assert_allclose(sums, sums_on_device, rtol=1e-5, atol=1e-2)
    np.testing.assert_array_equal(sums[4], (values > 0).sum(axis=(0, 1)))
