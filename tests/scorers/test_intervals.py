"""Intervals: equal to resampling by hand, honest about failed excerpts, of the stated coverage."""

import numpy as np
import pytest

from neurogloss.measures.correlation import paired_sums
from neurogloss.scorers.intervals import correlation_intervals, mean_intervals, resample


def made_up(neurons: int = 6, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Recorded and simulated values of 3 top and 4 random excerpts."""
    rng = np.random.default_rng(seed)
    x = rng.gamma(0.5, 1.0, (neurons, 7, 16))
    return x, x + rng.normal(0, 1, x.shape)


def intervals(x: np.ndarray, y: np.ndarray, use: np.ndarray, draws: int = 400) -> np.ndarray:
    return np.stack(
        correlation_intervals(paired_sums(x[:, :3], y[:, :3], use[:, :3]), paired_sums(x[:, 3:], y[:, 3:], use[:, 3:]), draws=draws, seed=0)
    )


def test_the_interval_is_the_one_of_resampling_excerpts_by_hand() -> None:
    x, y = made_up(neurons=1)
    found = intervals(x, y, np.ones((1, 7), bool), draws=3000)[:, 0]
    rng = np.random.default_rng(9)
    drawn = []
    for _ in range(3000):
        chosen = np.concatenate([rng.integers(0, 3, 3), rng.integers(3, 7, 4)])
        drawn.append(np.corrcoef(x[0, chosen].ravel(), y[0, chosen].ravel())[0, 1])
    np.testing.assert_allclose(found, np.quantile(drawn, [0.025, 0.975]), atol=0.02)


def test_a_neuron_keeps_its_interval_whatever_its_neighbours() -> None:
    x, y = made_up(neurons=150)
    use = np.random.default_rng(1).random((150, 7)) < 0.9
    together = intervals(x, y, use, draws=50)
    np.testing.assert_allclose(together[:, 70:75], intervals(x[70:75], y[70:75], use[70:75], draws=50), rtol=1e-12)


def test_failed_excerpts_are_never_drawn_and_the_others_keep_their_number() -> None:
    use = np.array([True, False, True, True])
    weights = resample(use, 500, np.random.default_rng(0))
    assert (weights[1] == 0).all()
    assert (weights.sum(axis=0) == 3).all()
    x, y = made_up()
    masked = np.ones((6, 7), bool)
    masked[:, 2] = False
    y[:, 2] = np.nan
    assert np.isfinite(intervals(x, y, masked)).all()


def test_there_is_no_interval_where_most_draws_have_no_correlation() -> None:
    x, y = made_up(neurons=1)
    y[:] = 0
    y[0, 3, 5] = 1  # Only a draw with this excerpt varies: 1 - (3/4)**4 = 68 % of the draws.
    assert np.isfinite(intervals(x, y, np.ones((1, 7), bool))).all()
    assert np.isnan(intervals(x, np.zeros_like(y), np.ones((1, 7), bool))).all()


def test_the_interval_of_a_mean_leaves_missing_values_out() -> None:
    values = np.random.default_rng(0).normal(5, 1, (200, 3))
    values[:100, 1] = np.nan
    values[1:, 2] = np.nan
    wide, narrow, lonely = mean_intervals(values, 500, seed=0)[1], mean_intervals(values, 500, seed=0)[0], mean_intervals(values, 500, 0)[2]
    assert lonely is None
    assert wide is not None and narrow is not None
    assert wide.low < np.nanmean(values[:, 1]) < wide.high
    assert narrow.high - narrow.low < wide.high - wide.low
    assert mean_intervals(np.empty((0, 2)), 100, seed=0) == [None, None]


def test_95_of_100_intervals_hold_the_true_mean() -> None:
    rng = np.random.default_rng(0)
    samples = rng.normal(0.15, 0.2, (100, 400))  # 400 experiments of 100 neurons each
    held = [found is not None and found.low < 0.15 < found.high for found in mean_intervals(samples, 400, seed=1)]
    assert np.mean(held) == pytest.approx(0.95, abs=0.03)
