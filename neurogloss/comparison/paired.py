"""Two variants on the same neurons: the paired difference of means, its interval, and who won how often."""

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from neurogloss.scorers.intervals import Interval

CHUNK = 2_000_000
"""Numbers drawn at a time: 16 MB."""
TIE = 1e-9
"""Differences up to this are ties: scores are rounded to nine decimals."""


class Paired(NamedTuple):
    """A variant against the reference, over the neurons that both have a score for."""

    neurons: int
    reference: float | None
    """Mean score of the reference."""
    variant: float | None
    difference: float | None
    """Mean of variant minus reference; None without neurons."""
    interval: Interval | None
    """Of the difference; None with fewer than two neurons."""
    won: int
    """Neurons for which the variant scores higher."""
    lost: int
    tied: int

    @property
    def within_noise(self) -> bool | None:
        """Whether the interval holds 0; None where there is none."""
        return None if self.interval is None else self.interval.low <= 0 <= self.interval.high


def paired(reference: Float[np.ndarray, " neuron"], variant: Float[np.ndarray, " neuron"], draws: int, level: float, seed: int) -> Paired:
    """Compare scores of the same neurons in the same order; neurons with a NaN on either side are left out."""
    both = ~(np.isnan(reference) | np.isnan(variant))
    first, second = reference[both], variant[both]
    differences = second - first
    count = len(differences)
    return Paired(
        count,
        float(first.mean()) if count else None,
        float(second.mean()) if count else None,
        float(differences.mean()) if count else None,
        mean_interval(differences, draws, level, seed) if count > 1 else None,
        int((differences > TIE).sum()),
        int((differences < -TIE).sum()),
        int((np.abs(differences) <= TIE).sum()),
    )


def mean_interval(values: Float[np.ndarray, " neuron"], draws: int, level: float, seed: int) -> Interval:
    """Bootstrap interval of the mean at `level`: the percentile method, widened for few values as Student's t is.

    The plain percentile interval is too narrow by sqrt((n - 1) / n) and by the normal for the t quantile (Hesterberg 2015, section 4.3,
    "What Teachers Should Know About the Bootstrap"); the correction vanishes with many neurons.
    """
    count = len(values)
    rng = np.random.default_rng(seed)
    means = np.empty(draws)
    rows = max(1, CHUNK // count)
    for start in range(0, draws, rows):
        drawn = rng.integers(0, count, (min(rows, draws - start), count), dtype=np.int32)
        means[start : start + rows] = values[drawn].mean(axis=1)
    tail = NormalDist().cdf(-math.sqrt(count / (count - 1)) * t_quantile((1 + level) / 2, count - 1))
    low, high = np.quantile(means, (tail, 1 - tail))
    return Interval(float(low), float(high))


def t_quantile(probability: float, freedom: int) -> float:
    """Quantile of Student's t by expansion in 1 / freedom (Abramowitz & Stegun 26.7.5); good to a few per cent from 4 degrees on.

    >>> [round(t_quantile(0.975, n), 2) for n in (5, 10, 30, 1000)]
    [2.57, 2.23, 2.04, 1.96]
    """
    z = NormalDist().inv_cdf(probability)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return z + sum(term / float(freedom) ** power for power, term in enumerate(terms, start=1))
