"""95 % intervals: of a unit's correlation over its excerpts, and of a mean over units.

One method for both: the delete-one jackknife's variance (Efron and Stein 1981) and a quantile of Student's t. A variance estimated from
few values with long tails is less certain than n - 1 degrees of freedom say: the variance of a sample variance grows with the kurtosis
(Cramér 1946, 27.4), which leaves 2n / (kurtosis - 1 + 2 / (n - 1)) degrees, n - 1 where the kurtosis is the normal's 3. The kurtoses
below are about those of real recordings and scores, so intervals of normal numbers err on the safe side; `benchmarks/coverage.py`
measures what they cover.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import stdtrit

from neurogloss.measures.correlation import PairedSums, correlations, leave_one_out, merge, totals

LEVEL = 0.95
EXCERPT_KURTOSIS = 5.5
"""Of what single excerpts add to a correlation: a few strong ones carry most of it."""
UNIT_KURTOSIS = 4.0
"""Of scores over units: a few are explained well, most are not."""
MIN_EXCERPTS = 4
"""Of each kind; with fewer an interval is as wide as the scale."""
MIN_UNITS = 6
"""With fewer the share that holds the true mean depends too much on the scores."""
MIN_UNITS_LONG_TAIL = 100
LONG_TAIL = ("variance_explained", "ablation")
"""Measures of which a few units decide the mean, for which MIN_UNITS is not enough."""
CONSTANT = 1e-9
"""A standard error of z below this is that of excerpts that are all alike, which say nothing about their spread."""
DIGITS = 9
"""Decimals to which equal values agree."""
LARGEST = 1.0 - 1e-12
"""Correlations nearer to 1 are taken as this, so that Fisher's z is finite."""


class Interval(NamedTuple):
    """Ends of an interval."""

    low: float
    high: float


class Spread(NamedTuple):
    """What one kind of excerpts adds to the variance of each unit's z, and the degrees of freedom of that estimate."""

    variance: Float[np.ndarray, " unit"]
    freedom: Float[np.ndarray, " unit"]


def correlation_intervals(top: PairedSums, random: PairedSums) -> tuple[Float[np.ndarray, " unit"], Float[np.ndarray, " unit"]]:
    """95 % interval of each unit's correlation over top and random excerpts: low and high ends, NaN where there is none.

    Excerpts are what is sampled, top and random ones apart; tokens of one excerpt depend on one another. The ends are symmetric on
    Fisher's z scale. There is no interval with fewer than MIN_EXCERPTS of a kind in use, nor where one excerpt alone makes the
    recording or the simulation vary. A kind that the split does not have plays no part.
    """
    parts = [jackknife(own, other) for own, other in ((top, random), (random, top)) if own.tokens.shape[1]]
    variance = np.sum([part.variance for part in parts], axis=0)
    # Satterthwaite (1946): degrees of freedom of a sum of variances.
    squares = np.sum([part.variance**2 / part.freedom for part in parts], axis=0)
    error = np.sqrt(np.where(variance > CONSTANT**2, variance, np.nan))
    reach = student(LEVEL, variance**2 / np.where(squares > 0, squares, np.nan)) * error
    middle = fisher(correlations(merge(totals(top), totals(random)))[:, 0])
    return np.tanh(middle - reach), np.tanh(middle + reach)


def jackknife(own: PairedSums, other: PairedSums) -> Spread:
    """Variance of z when each excerpt of one kind is left out in turn, the others of its kind weighted up; NaN with too few in use."""
    use: Bool[np.ndarray, "unit excerpt"] = own.tokens > 0
    count = use.sum(axis=1)
    n = np.where(count >= MIN_EXCERPTS, count, np.nan)
    z = np.where(use, fisher(correlations(merge(leave_one_out(own), totals(other)))), 0.0)
    off = np.where(use, z - (z.sum(axis=1) / n)[:, None], 0.0)
    return Spread((n - 1) / n * (off**2).sum(axis=1), freedom(n, EXCERPT_KURTOSIS))


def ratio_intervals(
    numerator: Float[np.ndarray, "unit excerpt"], denominator: Float[np.ndarray, "unit excerpt"], tops: int
) -> tuple[Float[np.ndarray, " unit"], Float[np.ndarray, " unit"]]:
    """95 % interval of each unit's ratio of sums over excerpts, the first `tops` of which are top ones; NaN where there is none.

    Excerpts with a NaN are left out, as everything is that `correlation_intervals` leaves out.
    """
    use = ~(np.isnan(numerator) | np.isnan(denominator))
    pairs = [np.where(use, part, 0.0) for part in (numerator, denominator)]
    above, below = (part.sum(axis=1, keepdims=True) for part in pairs)
    variances, squares = np.zeros(len(use)), np.zeros(len(use))
    for part in (slice(0, tops), slice(tops, None)):
        if not use[:, part].shape[1]:
            continue
        count = use[:, part].sum(axis=1)
        n = np.where(count >= MIN_EXCERPTS, count, np.nan)[:, None]
        # Each excerpt left out in turn, the others of its kind weighted up.
        sums = [kind.sum(axis=1, keepdims=True) for kind in (pairs[0][:, part], pairs[1][:, part])]
        without = [(sums[at] - pairs[at][:, part]) * n / (n - 1) + (whole - sums[at]) for at, whole in enumerate((above, below))]
        ratios = np.where(use[:, part], without[0] / np.where(without[1] > 0, without[1], np.nan), 0.0)
        off = np.where(use[:, part], ratios - ratios.sum(axis=1, keepdims=True) / n, 0.0)
        variance = ((n - 1) / n)[:, 0] * (off**2).sum(axis=1)
        variances, squares = variances + variance, squares + variance**2 / freedom(n[:, 0], EXCERPT_KURTOSIS)
    error = np.sqrt(np.where(variances > CONSTANT**2, variances, np.nan))
    reach = student(LEVEL, variances**2 / np.where(squares > 0, squares, np.nan)) * error
    middle = above[:, 0] / np.where(below[:, 0] > 0, below[:, 0], np.nan)
    return middle - reach, middle + reach


def mean_interval(values: Float[np.ndarray, " unit"], level: float = LEVEL, needed: int = MIN_UNITS) -> Interval | None:
    """Interval of the mean over units, NaN left out; None with fewer than `needed` numbers, of which equal ones count once.

    >>> mean_interval(np.array([0.1, 0.2, 0.3])) is None
    True
    """
    present = values[~np.isnan(values)]
    count = len(present)
    if count < needed or count - most_common(present) + 1 < needed:
        return None
    mean, error = float(present.mean()), float(present.std(ddof=1)) / math.sqrt(count)
    reach = float(student(level, freedom(np.asarray(float(count)), UNIT_KURTOSIS))) * error
    return Interval(mean - reach, mean + reach)


def most_common(values: Float[np.ndarray, " unit"]) -> int:
    """How many units share the commonest value."""
    return int(np.unique(np.round(values, DIGITS), return_counts=True)[1].max())


def units_needed(measure: str) -> int:
    """How many units the interval of a mean of this measure needs."""
    return MIN_UNITS_LONG_TAIL if measure in LONG_TAIL else MIN_UNITS


def freedom(count: Float[np.ndarray, "..."], kurtosis: float) -> Float[np.ndarray, "..."]:
    """Degrees of freedom of a variance estimated from `count` values of this kurtosis.

    >>> [round(float(degrees), 2) for degrees in freedom(np.array([8.0, 240.0]), kurtosis=3)]
    [7.0, 239.0]
    """
    return 2 * count / (kurtosis - 1 + 2 / (count - 1))


def student(level: float, degrees: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """How many standard errors an interval reaches to either side."""
    return np.asarray(stdtrit(degrees, (1 + level) / 2))


def fisher(correlation: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Fisher's z."""
    return np.asarray(np.arctanh(np.clip(correlation, -LARGEST, LARGEST)))
