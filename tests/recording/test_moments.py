"""Moments joined from shards equal those of all numbers together."""

import numpy as np
import pytest
import torch

from neurogloss.recording.batches import HostActivations
from neurogloss.recording.moments import Moments, from_powers, join, no_moments


def of(values: np.ndarray) -> Moments:
    """Moments as a batch makes them, from float32 sums about the first excerpt's mean."""
    shift, _, sums = HostActivations(torch.from_numpy(values.astype(np.float32).reshape(4, -1, values.shape[1]))).sweep()
    return from_powers(len(values), shift.astype(np.float64), sums[:4])


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
