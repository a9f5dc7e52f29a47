"""Find explainable directions (Bills et al. 2023, "finding explainable directions"): explain, simulate, turn, and again.

With a the neurons of one layer and Σ their covariance, a direction is v = Σ^(-1/2) θ. A round explains a·v as any unit's activation,
simulates it on the excerpts that may be looked at, and moves θ by Adam towards a higher correlation of a·v with the simulation. For given
tokens that depends on their covariance and on the neurons' covariance with the simulation alone, so a step costs nothing per token.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int

from neurogloss.config.directions import DirectionsParams
from neurogloss.errors import UserError

BETAS, EPSILON = (0.9, 0.999), 1e-8
"""Adam's usual constants."""
CHUNK = 64
"""Excerpts handled at a time."""


class Simulated(NamedTuple):
    """What an explanation predicts of one direction."""

    text: str | None
    excerpts: Int[np.ndarray, " excerpt"]
    """Rows of those that may be fitted on."""
    levels: Float[np.ndarray, "excerpt token"]
    """NaN where nothing was simulated."""


ExplainSimulate = Callable[[Float32[np.ndarray, "direction excerpt token"]], Sequence[Simulated]]
"""Explain directions by their values, and simulate what the explanations predict."""


@dataclass(frozen=True)
class Round:
    """What a round began with and found."""

    texts: list[str | None]
    correlations: Float64[np.ndarray, " direction"]
    """Of value and simulation on the excerpts fitted on, before the round's steps; NaN where undefined."""
    vectors: Float64[np.ndarray, "direction neuron"]
    """After them."""


def seek(
    activations: Float[np.ndarray, "excerpt token neuron"],
    open_excerpts: Bool[np.ndarray, " excerpt"],
    start: Float[np.ndarray, "direction neuron"],
    params: DirectionsParams,
    explain: ExplainSimulate,
) -> list[Round]:
    """Rounds of explanation and ascent. Only `open_excerpts` enter the covariance and the steps.

    UserError where a direction has no values that vary.
    """
    mean, covariance = moments(activations, np.flatnonzero(open_excerpts))
    half, inverse = whitening(covariance, params.shrinkage)
    thetas = start @ half.T  # v = Σ^(-1/2) θ, so θ = Σ^(1/2) v.
    norms = np.linalg.norm(thetas, axis=1, keepdims=True)
    if not (norms > 0).all():
        raise UserError(f"direction {int(np.flatnonzero(norms[:, 0] <= 0)[0])} has the same value on every token; name another")
    thetas, rounds = thetas / norms, []
    for _ in range(params.rounds):
        vectors = thetas @ inverse.T
        found = explain(values_of(activations, mean, vectors))
        correlations = np.full(len(thetas), np.nan)
        for number, simulated in enumerate(found):
            use = ~np.isnan(simulated.levels).any(axis=1) & open_excerpts[simulated.excerpts]
            levels = simulated.levels[use].astype(np.float64)
            if simulated.text is None or not levels.size or levels.std() == 0:
                continue
            gain, spread = covariance_with(activations, simulated.excerpts[use], levels, inverse)
            correlations[number] = correlation(thetas[number], gain, spread)
            thetas[number] = climb(thetas[number], gain, spread, params)
        rounds.append(Round([one.text for one in found], correlations, thetas @ inverse.T))
    return rounds


def moments(
    activations: Float[np.ndarray, "excerpt token neuron"], rows: Int[np.ndarray, " row"]
) -> tuple[Float64[np.ndarray, " neuron"], Float64[np.ndarray, "neuron neuron"]]:
    """Mean and covariance over the tokens of some excerpts."""
    count = len(rows) * activations.shape[1]
    total = sum((part.sum(axis=0) for part in chunks(activations, rows)), np.zeros(activations.shape[2]))
    mean = total / count
    products = sum(((part - mean).T @ (part - mean) for part in chunks(activations, rows)), np.zeros((len(mean), len(mean))))
    return mean, products / count


def chunks(activations: Float[np.ndarray, "excerpt token neuron"], rows: Int[np.ndarray, " row"]) -> Iterator[np.ndarray]:
    """Tokens of some excerpts, a part at a time."""
    for at in range(0, len(rows), CHUNK):
        yield activations[rows[at : at + CHUNK]].reshape(-1, activations.shape[2]).astype(np.float64)


def whitening(
    covariance: Float64[np.ndarray, "neuron neuron"], shrinkage: float
) -> tuple[Float64[np.ndarray, "neuron neuron"], Float64[np.ndarray, "neuron neuron"]]:
    """Σ^(1/2) and Σ^(-1/2) of the covariance with a share of its mean variance added; directions without any variance stay out."""
    size = len(covariance)
    shrunk = covariance + shrinkage * np.trace(covariance) / size * np.eye(size)
    variances, axes = np.linalg.eigh(shrunk)
    usable = variances > 1e-10 * variances.max()
    roots = np.sqrt(np.where(usable, variances, 1.0))
    return (axes * np.where(usable, roots, 0)) @ axes.T, (axes * np.where(usable, 1 / roots, 0)) @ axes.T


def values_of(
    activations: Float[np.ndarray, "excerpt token neuron"],
    mean: Float64[np.ndarray, " neuron"],
    vectors: Float64[np.ndarray, "direction neuron"],
) -> Float32[np.ndarray, "direction excerpt token"]:
    """(a - mean)·v of each direction on every token."""
    found = np.empty((len(vectors), *activations.shape[:2]), np.float32)
    for start in range(0, len(activations), CHUNK):
        part = activations[start : start + CHUNK].astype(np.float32)
        found[:, start : start + CHUNK] = np.moveaxis(part @ vectors.T.astype(np.float32) - (vectors @ mean).astype(np.float32), -1, 0)
    return found


def covariance_with(
    activations: Float[np.ndarray, "excerpt token neuron"],
    rows: Int[np.ndarray, " excerpt"],
    levels: Float64[np.ndarray, "excerpt token"],
    inverse: Float64[np.ndarray, "neuron neuron"],
) -> tuple[Float64[np.ndarray, " neuron"], Float64[np.ndarray, "neuron neuron"]]:
    """For θ: the covariance of values with the standardised levels, and the values' covariance, over the tokens of these excerpts."""
    mean, covariance = moments(activations, rows)
    wanted = (levels.reshape(-1) - levels.mean()) / levels.std()
    gain, at = np.zeros(len(mean)), 0
    for part in chunks(activations, rows):
        gain += (part - mean).T @ wanted[at : at + len(part)]
        at += len(part)
    return inverse @ gain / len(wanted), inverse @ covariance @ inverse


def correlation(
    theta: Float64[np.ndarray, " neuron"], gain: Float64[np.ndarray, " neuron"], spread: Float64[np.ndarray, "neuron neuron"]
) -> float:
    """Of the direction's values with the levels."""
    variance = float(theta @ spread @ theta)
    return float(gain @ theta) / np.sqrt(variance) if variance > 0 else float("nan")


def climb(
    theta: Float64[np.ndarray, " neuron"],
    gain: Float64[np.ndarray, " neuron"],
    spread: Float64[np.ndarray, "neuron neuron"],
    params: DirectionsParams,
) -> Float64[np.ndarray, " neuron"]:
    """Adam on the correlation, θ kept at length 1."""
    first, second = np.zeros(len(theta)), np.zeros(len(theta))
    for step in range(1, params.steps + 1):
        turned = spread @ theta
        variance = max(float(theta @ turned), 1e-300)
        gradient = (gain - float(gain @ theta) / variance * turned) / np.sqrt(variance)
        first = BETAS[0] * first + (1 - BETAS[0]) * gradient
        second = BETAS[1] * second + (1 - BETAS[1]) * gradient**2
        scale = params.rate * np.sqrt(1 - BETAS[1] ** step) / (1 - BETAS[0] ** step)
        theta = theta + scale * first / (np.sqrt(second) + EPSILON)
        theta = theta / np.linalg.norm(theta)
    return theta
