"""Calibration: the paper's explained variance, and no reward for the opposite of the truth."""

import numpy as np
import pytest

from neurogloss.scorers.blocks import pooled
from neurogloss.scorers.calibration import fit, variance_explained


@pytest.fixture
def split() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Recorded, simulated and use of 4 neurons, 2 top and 3 random excerpts."""
    rng = np.random.default_rng(0)
    x = rng.gamma(0.5, 1.0, (4, 5, 16)) + 3
    return x, 10 * x / x.max() + rng.normal(0, 1, x.shape), np.ones((4, 5), bool)


def test_the_line_is_least_squares_and_the_rest_follows(split: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    x, y, use = split
    line = fit(pooled(x, y, use, tops=2))
    explained = variance_explained(line, pooled(x, y, use, tops=2))
    for neuron in range(4):
        slope, intercept = np.polyfit(y[neuron].ravel(), x[neuron].ravel(), 1)
        assert line.slope[neuron, 0] == pytest.approx(slope)
        assert line.intercept[neuron, 0] == pytest.approx(intercept)
        # Fitted and judged on the same tokens, the share is the square of the correlation (paper, calibration).
        assert explained[neuron, 0] == pytest.approx(np.corrcoef(x[neuron].ravel(), y[neuron].ravel())[0, 1] ** 2)


def test_the_opposite_of_the_truth_explains_nothing(split: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    x, _, use = split
    line = fit(pooled(x, 10 - x, use, tops=2))
    assert (line.slope == 0).all()
    np.testing.assert_allclose(variance_explained(line, pooled(x, 10 - x, use, tops=2)), 0, atol=1e-12)


def test_the_truth_explains_everything(split: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    x, _, use = split
    line = fit(pooled(x, 3 * x + 1, use, tops=2))
    np.testing.assert_allclose(variance_explained(line, pooled(x, 3 * x + 1, use, tops=2)), 1)


def test_a_constant_explains_nothing_and_a_constant_recording_is_undefined(split: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    x, _, use = split
    line = fit(pooled(x, np.full_like(x, 2.0), use, tops=2))
    np.testing.assert_allclose(variance_explained(line, pooled(x, np.full_like(x, 2.0), use, tops=2)), 0, atol=1e-12)
    flat = np.full_like(x, 0.25)
    assert np.isnan(variance_explained(line, pooled(flat, x, use, tops=2))).all()


def test_without_calibration_excerpts_it_is_undefined(split: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    x, y, use = split
    line = fit(pooled(x, y, ~use, tops=2))
    assert np.isnan(variance_explained(line, pooled(x, y, use, tops=2))).all()


def test_excerpts_left_out_change_nothing(split: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    x, y, use = split
    use[:, 1] = False
    line = fit(pooled(x, y, use, tops=2))
    x[:, 1], y[:, 1] = 99, np.nan
    assert fit(pooled(x, y, use, tops=2)).slope == pytest.approx(line.slope)
