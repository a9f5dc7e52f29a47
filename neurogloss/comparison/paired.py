"""Two variants on the same neurons: the paired difference of means, its interval, and who won how often."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from neurogloss.scorers.intervals import Interval, mean_interval, units_needed

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
    """Of the difference; None with too few neurons, or too few that differ."""
    won: int
    """Neurons for which the variant scores higher."""
    lost: int
    tied: int

    @property
    def within_noise(self) -> bool | None:
        """Whether the interval holds 0; None where there is none."""
        return None if self.interval is None else self.interval.low <= 0 <= self.interval.high


def paired(reference: Float[np.ndarray, " neuron"], variant: Float[np.ndarray, " neuron"], level: float, measure: str) -> Paired:
    """Compare values of a measure on the same neurons in the same order; neurons with a NaN on either side are left out."""
    both = ~(np.isnan(reference) | np.isnan(variant))
    first, second = reference[both], variant[both]
    differences = second - first
    count = len(differences)
    return Paired(
        count,
        float(first.mean()) if count else None,
        float(second.mean()) if count else None,
        float(differences.mean()) if count else None,
        mean_interval(differences, level, units_needed(measure)),
        int((differences > TIE).sum()),
        int((differences < -TIE).sum()),
        int((np.abs(differences) <= TIE).sum()),
    )
