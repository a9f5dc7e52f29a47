"""Intervals: equal to leaving out by hand, absent where nothing can be said, of the stated coverage."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from neurogloss.measures.correlation import paired_sums
from neurogloss.scorers.intervals import EXCERPT_KURTOSIS, MIN_EXCERPTS, MIN_UNITS, UNIT_KURTOSIS, correlation_intervals, mean_interval

TOPS = 5


def made_up(neurons: int = 6, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Recorded and simulated values of 5 top and 6 random excerpts."""
    rng = np.random.default_rng(seed)
    x = rng.gamma(0.5, 1.0, (neurons, 11, 16))
    return x, x + rng.normal(0, 1, x.shape)


def intervals(x: np.ndarray, y: np.ndarray, use: np.ndarray | None = None, tops: int = TOPS) -> np.ndarray:
    kept = np.ones(x.shape[:2], bool) if use is None else use
    return np.stack(
        correlation_intervals(paired_sums(x[:, :tops], y[:, :tops], kept[:, :tops]), paired_sums(x[:, tops:], y[:, tops:], kept[:, tops:]))
    )


def weighted_z(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> float:
    """Fisher's z of the correlation over tokens, each with the weight of its excerpt."""
    covariance = np.cov(x.ravel(), y.ravel(), aweights=np.repeat(weights, x.shape[1]), ddof=0)
    return float(np.arctanh(covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1])))


def by_hand(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """The interval of one neuron, with numpy's weighted covariance and scipy's distribution."""
    variance = squares = 0.0
    for kind in (range(TOPS), range(TOPS, len(x))):
        n = len(kind)
        z = []
        for left_out in kind:
            weights = np.ones(len(x))
            weights[list(kind)] = n / (n - 1)
            weights[left_out] = 0
            z.append(weighted_z(x, y, weights))
        part = (n - 1) / n * np.sum((np.array(z) - np.mean(z)) ** 2)
        variance += part
        squares += part**2 * (EXCERPT_KURTOSIS - (n - 3) / (n - 1)) / (2 * n)
    middle, reach = weighted_z(x, y, np.ones(len(x))), stats.t.ppf(0.975, variance**2 / squares) * np.sqrt(variance)
    return float(np.tanh(middle - reach)), float(np.tanh(middle + reach))


def test_the_interval_is_the_one_of_leaving_out_excerpts_by_hand() -> None:
    x, y = made_up()
    np.testing.assert_allclose(intervals(x, y).T, [by_hand(*pair) for pair in zip(x, y, strict=True)], rtol=1e-9)


@given(st.floats(0.01, 1000), st.floats(-100, 100))
def test_the_interval_ignores_scale_and_offset_and_turns_with_the_sign(scale: float, offset: float) -> None:
    x, y = made_up(neurons=2)
    low, high = intervals(x, y)
    np.testing.assert_allclose(intervals(x, scale * y + offset), [low, high], atol=1e-8)
    np.testing.assert_allclose(intervals(x, offset - scale * y), [-high, -low], atol=1e-8)


def test_a_neuron_keeps_its_interval_whatever_its_neighbours() -> None:
    x, y = made_up(neurons=150)
    use = np.random.default_rng(1).random((150, 11)) < 0.9
    np.testing.assert_array_equal(intervals(x, y, use)[:, 70:75], intervals(x[70:75], y[70:75], use[70:75]))


def test_failed_excerpts_count_for_nothing() -> None:
    x, y = made_up()
    use = np.ones((6, 11), bool)
    use[:, 2] = use[:, 8] = False
    kept = use[0]
    there = intervals(x[:, kept], y[:, kept], tops=4)
    y[:, 2] = np.nan
    np.testing.assert_allclose(intervals(x, y, use), there, rtol=1e-12)


@pytest.mark.parametrize("kind", [slice(0, TOPS), slice(TOPS, 11)])
def test_too_few_excerpts_of_a_kind_have_no_interval(kind: slice) -> None:
    x, y = made_up()
    for kept in range(11 - TOPS + 1):
        use = np.ones((6, 11), bool)
        use[:, range(11)[kind][kept:]] = False
        here = min(kept, len(range(11)[kind]))
        assert np.isfinite(intervals(x, y, use)).all() == (here >= MIN_EXCERPTS), kept


def test_a_split_of_one_kind_has_intervals_of_that_kind() -> None:
    x, y = made_up()
    for tops in (0, 11):
        low, high = intervals(x, y, tops=tops)
        assert (low < high).all()


@pytest.mark.parametrize("rest", [0.0, 3.0])
def test_there_is_no_interval_where_one_excerpt_alone_makes_the_simulation_vary(rest: float) -> None:
    x, _ = made_up(neurons=500)
    y, fires = np.full_like(x, rest), np.random.default_rng(1).random((500, 16))
    assert np.isnan(intervals(x, y)).all()
    y[:, 7] += fires  # Of 6 random ones: what is left of their mean without it is rounding.
    assert np.isnan(intervals(x, y)).all() and np.isnan(intervals(y, x)).all()
    y[:, 3] += fires
    assert np.isfinite(intervals(x, y)).all()


def test_excerpts_that_are_all_alike_have_no_interval() -> None:
    x, y = made_up(neurons=500)
    assert np.isnan(intervals(np.repeat(x[:, :1], 11, axis=1), np.repeat(y[:, :1], 11, axis=1))).all()
    assert np.isnan(intervals(x, x)).all()


def simulated(neurons: int, excerpts: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Excerpts that differ in level and in strength, as text does: tokens of one excerpt are alike."""
    shape = (neurons, excerpts, 32)
    strength = np.exp(0.4 * rng.standard_normal((neurons, excerpts, 1)))
    level = 0.4 * rng.standard_normal((neurons, excerpts, 1))
    x = level + strength * rng.standard_normal(shape)
    return x, 0.5 * x + rng.standard_normal(shape) + 0.4 * rng.standard_normal((neurons, excerpts, 1))


@pytest.mark.parametrize("each", [5, 20])
def test_95_of_100_intervals_hold_the_true_correlation(each: int) -> None:
    rng = np.random.default_rng(0)
    truth = np.corrcoef(*(values.ravel() for values in simulated(2000, 20, rng)))[0, 1]
    low, high = intervals(*simulated(1000, 2 * each, rng), tops=each)
    assert 0.93 <= np.mean((low < truth) & (truth < high)) <= 0.99


def test_a_mean_of_many_units_has_the_interval_of_students_t() -> None:
    values = np.random.default_rng(0).normal(0.2, 0.2, 5000)
    found = mean_interval(np.append(values, np.nan))
    assert found is not None
    np.testing.assert_allclose(found, stats.t.interval(0.95, 4999, values.mean(), stats.sem(values)), rtol=1e-3)


def test_a_mean_of_few_units_has_fewer_degrees_of_freedom_than_units() -> None:
    values = np.random.default_rng(0).normal(0.2, 0.2, 8)
    found = mean_interval(values, level=0.975)
    degrees = 2 / (np.float64(UNIT_KURTOSIS - 5 / 7) / 8)
    assert found is not None
    np.testing.assert_allclose(found, stats.t.interval(0.975, degrees, values.mean(), stats.sem(values)), rtol=1e-9)


@pytest.mark.parametrize("values", [[], [0.1], [0.1, 0.2, 0.3, 0.4, 0.5, np.nan], [0.25] * 30])
def test_a_mean_of_too_few_or_of_equal_units_has_no_interval(values: list[float]) -> None:
    assert mean_interval(np.array(values)) is None


@pytest.mark.parametrize("units", [MIN_UNITS, 8, 30, 240])
@pytest.mark.parametrize("kind", ["normal", "skewed"])
def test_95_of_100_intervals_hold_the_true_mean(kind: str, units: int) -> None:
    rng = np.random.default_rng(units)
    samples = rng.normal(0.15, 0.2, (2000, units)) if kind == "normal" else rng.beta(1.2, 4, (2000, units))
    truth = 0.15 if kind == "normal" else 1.2 / 5.2
    found = [mean_interval(sample) for sample in samples]
    assert 0.93 <= np.mean([each is not None and each.low < truth < each.high for each in found]) <= 0.975
