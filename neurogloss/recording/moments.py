"""Mean and central moments of each neuron, in one pass, stable, and the same for whatever workers the shards went to.

A batch sums powers of deviations from the neuron's mean in its first excerpt (float32 within a block, float64 between blocks); batches are
joined in their order within a shard, and shards in theirs (Pébay 2008, formulas for arbitrary-order moments).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64


@dataclass(frozen=True)
class Moments:
    """What is known of each neuron after `count` tokens."""

    count: int
    mean: Float64[np.ndarray, " neuron"]
    sums: Float64[np.ndarray, "3 neuron"]
    """Sums of the second, third and fourth power of the deviation from the mean."""

    @property
    def variance(self) -> Float64[np.ndarray, " neuron"]:
        """Population variance."""
        return np.asarray(self.sums[0] / max(self.count, 1))

    def standardised(self, power: int) -> Float64[np.ndarray, " neuron"]:
        """Third (skewness) or fourth (kurtosis, 3 for a normal distribution) standardised moment; NaN where the neuron is constant."""
        spread = np.where(self.variance > 0, self.variance, np.nan)
        return np.asarray(self.sums[power - 2] / self.count / spread ** (power / 2))


def no_moments(neurons: int) -> Moments:
    """Before the first token."""
    return Moments(0, np.zeros(neurons), np.zeros((3, neurons)))


def from_powers(count: int, shift: Float64[np.ndarray, " neuron"], powers: Float64[np.ndarray, "4 neuron"]) -> Moments:
    """Moments from the sums of the first four powers of the deviation from `shift`."""
    first, second, third, fourth = powers / count
    square = first * first  # numpy's ** takes twenty times as long.
    two = second - square
    three = third - 3 * first * second + 2 * first * square
    four = fourth - 4 * first * third + 6 * square * second - 3 * square * square
    return Moments(count, shift + first, count * np.stack([np.maximum(two, 0), three, np.maximum(four, 0)]))


def join(one: Moments, other: Moments) -> Moments:
    """Moments of both sets of tokens together."""
    if not one.count:
        return other
    m, n = one.count, other.count
    total, delta = m + n, other.mean - one.mean
    (a2, a3, a4), (b2, b3, b4) = one.sums, other.sums
    square = delta * delta
    two = a2 + b2 + square * m * n / total
    three = a3 + b3 + delta * square * m * n * (m - n) / total**2 + 3 * delta * (m * b2 - n * a2) / total
    four = (
        a4
        + b4
        + square * square * m * n * (m**2 - m * n + n**2) / total**3
        + 6 * square * (m**2 * b2 + n**2 * a2) / total**2
        + 4 * delta * (m * b3 - n * a3) / total
    )
    return Moments(total, one.mean + delta * n / total, np.stack([two, three, four]))
