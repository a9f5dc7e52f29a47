"""Bootstrap intervals: of one neuron's correlation over its excerpts, and of a mean over neurons. Percentile method, 95 %."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from neurogloss.measures.correlation import PairedSums, correlations, merge, totals

QUANTILES = (0.025, 0.975)
BLOCK = 64
"""Neurons at a time: their draws stay in the processor's cache."""


class Interval(NamedTuple):
    """Ends of a 95 % interval."""

    low: float
    high: float


def correlation_intervals(
    top: PairedSums, random: PairedSums, draws: int, seed: int
) -> tuple[Float[np.ndarray, " neuron"], Float[np.ndarray, " neuron"]]:
    """Interval of each neuron's top-and-random correlation: top and random excerpts are resampled apart, each to its own number.

    Excerpts that are left out are never drawn. All neurons with the same excerpts in use share their draws, so the result
    depends on neither the block nor the order of neurons. NaN where under half of the draws have a correlation.
    """
    ends = np.full((2, len(top.tokens)), np.nan)
    use = np.concatenate([top.tokens > 0, random.tokens > 0], axis=1)
    for pattern in np.unique(use, axis=0):
        rows = np.flatnonzero((use == pattern).all(axis=1))
        weights = weights_for(tuple(pattern.tolist()), top.tokens.shape[1], draws, seed)
        for start in range(0, len(rows), BLOCK):
            block = rows[start : start + BLOCK]
            drawn = correlations(merge(totals(top.rows(block), weights[0]), totals(random.rows(block), weights[1])))
            ends[:, block] = quantiles(drawn)
    return ends[0], ends[1]


@lru_cache(maxsize=64)
def weights_for(pattern: tuple[bool, ...], tops: int, draws: int, seed: int) -> list[Float[np.ndarray, "excerpt draw"]]:
    """The draws of all neurons that have these excerpts in use: weights of the top and of the random ones."""
    rng = np.random.default_rng([seed, *(int(used) for used in pattern)])
    return [resample(np.array(part, dtype=bool), draws, rng) for part in (pattern[:tops], pattern[tops:])]


def resample(use: Bool[np.ndarray, " excerpt"], draws: int, rng: np.random.Generator) -> Float[np.ndarray, "excerpt draw"]:
    """How often each excerpt is drawn, in `draws` draws with replacement of as many excerpts as are in use."""
    weights = np.zeros((len(use), draws))
    if use.any():
        weights[use] = rng.multinomial(use.sum(), np.full(use.sum(), 1 / use.sum()), size=draws).T
    return weights


def quantiles(drawn: Float[np.ndarray, "neuron draw"]) -> Float[np.ndarray, "2 neuron"]:
    """The 2.5 % and 97.5 % quantiles of each row's numbers, interpolated; NaN where under half are numbers."""
    ordered = np.sort(drawn, axis=1)  # NaN sorts last.
    count = (~np.isnan(ordered)).sum(axis=1)
    rows, ends = np.arange(len(ordered)), []
    for quantile in QUANTILES:
        place = quantile * np.maximum(count - 1, 0)
        low = np.floor(place).astype(int)
        below, above = ordered[rows, low], ordered[rows, np.minimum(low + 1, np.maximum(count - 1, 0))]
        ends.append(np.where(2 * count >= drawn.shape[1], below + (above - below) * (place - low), np.nan))
    return np.stack(ends)


def mean_intervals(values: Float[np.ndarray, "neuron column"], draws: int, seed: int) -> list[Interval | None]:
    """Interval of the mean of each column over neurons, NaN left out; None for a column with fewer than two numbers.

    Whole neurons are drawn, so the columns stay paired.
    """
    present = ~np.isnan(values)
    columns = np.ascontiguousarray(np.concatenate([np.where(present, values, 0.0), present], axis=1).T)  # sums, then counts
    rng = np.random.default_rng(seed)
    means = np.full((draws, values.shape[1]), np.nan)
    for draw in range(draws if len(values) else 0):
        times = np.bincount(rng.integers(0, len(values), len(values)), minlength=len(values)).astype(np.float64)
        sums, counts = np.einsum("cn,n->c", columns, times).reshape(2, -1)
        means[draw] = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    ends = quantiles(means.T)
    return [Interval(float(low), float(high)) if n > 1 else None for low, high, n in zip(*ends, present.sum(axis=0), strict=True)]
