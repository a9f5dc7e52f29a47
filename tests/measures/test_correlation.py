"""Correlation: what must hold for any numbers, and the reference it must equal."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from neurogloss.measures.correlation import correlation, correlations, merge, paired_sums, totals

vectors = arrays(np.float64, st.integers(2, 60), elements=st.integers(-50, 50).map(float))


@given(vectors, st.integers(1, 50), st.integers(-9, 9))
def test_it_ignores_scale_and_offset(recorded: np.ndarray, scale: int, offset: int) -> None:
    assume(np.ptp(recorded) > 0)
    assert correlation(recorded, scale * recorded + offset) == pytest.approx(1.0, abs=1e-12)


@given(vectors, st.integers(1, 50), st.integers(-9, 9))
def test_the_opposite_of_the_truth_scores_minus_one(recorded: np.ndarray, scale: int, offset: int) -> None:
    assume(np.ptp(recorded) > 0)
    assert correlation(recorded, offset - scale * recorded) == pytest.approx(-1.0, abs=1e-12)


@given(vectors, st.floats(-1e6, 1e6))
def test_a_constant_side_has_no_correlation(recorded: np.ndarray, value: float) -> None:
    constant = np.full_like(recorded, value)
    assert correlation(recorded, constant) is None
    assert correlation(constant, recorded) is None


@given(vectors, st.integers(0, 2**32))
def test_it_equals_numpy_and_never_leaves_minus_one_to_one(recorded: np.ndarray, seed: int) -> None:
    simulated = np.random.default_rng(seed).random(len(recorded))
    assume(np.ptp(recorded) > 0 and np.ptp(simulated) > 1e-6)
    found = correlation(recorded, simulated)
    assert found == pytest.approx(np.corrcoef(recorded, simulated)[0, 1], abs=1e-12)
    assert found is not None and -1 <= found <= 1


def test_a_random_simulation_scores_about_zero() -> None:
    rng = np.random.default_rng(0)
    recorded, simulated = rng.gamma(0.3, 1.0, (2000, 10, 32)), rng.random((2000, 10, 32))
    found = correlations(totals(paired_sums(recorded, simulated, np.ones((2000, 10), bool))))
    assert abs(found.mean()) < 0.005


def test_nothing_at_all_has_no_correlation_and_unequal_shapes_are_refused() -> None:
    assert correlation(np.empty(0), np.empty(0)) is None
    with pytest.raises(ValueError, match=r"\(2,\) and simulated \(3,\)"):
        correlation(np.zeros(2), np.zeros(3))


def test_merged_kinds_equal_the_pooled_tokens() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(5, 6, 7)) * 3 + 100, rng.random((5, 6, 7))
    use = rng.random((5, 6)) < 0.8
    both = merge(totals(paired_sums(x[:, :2], y[:, :2], use[:, :2])), totals(paired_sums(x[:, 2:], y[:, 2:], use[:, 2:])))
    for neuron, found in enumerate(correlations(both)[:, 0]):
        assert found == pytest.approx(np.corrcoef(x[neuron, use[neuron]].ravel(), y[neuron, use[neuron]].ravel())[0, 1], abs=1e-12)


def test_an_excerpt_left_out_is_not_even_read() -> None:
    x, y = np.random.default_rng(2).normal(size=(2, 1, 3, 8))
    use = np.array([[True, False, True]])
    y[0, 1] = np.nan
    found = correlations(totals(paired_sums(x, y, use)))[0, 0]
    assert found == pytest.approx(np.corrcoef(x[0, [0, 2]].ravel(), y[0, [0, 2]].ravel())[0, 1], abs=1e-12)


def test_tiny_random_excerpts_beside_huge_top_ones_keep_their_correlation() -> None:
    rng = np.random.default_rng(3)
    top, random = rng.normal(30000, 1000, (1, 5, 64)), rng.normal(0.01, 1e-4, (1, 5, 64))
    simulated = rng.random((1, 5, 64))
    use = np.ones((1, 5), bool)
    found = correlations(totals(paired_sums(random, simulated, use)))[0, 0]
    assert found == pytest.approx(np.corrcoef(random.ravel(), simulated.ravel())[0, 1], abs=1e-9)
    both = correlations(merge(totals(paired_sums(top, simulated, use)), totals(paired_sums(random, simulated, use))))[0, 0]
    pooled = np.corrcoef(np.concatenate([top, random], axis=1).ravel(), np.concatenate([simulated] * 2, axis=1).ravel())[0, 1]
    assert both == pytest.approx(pooled, abs=1e-12)
