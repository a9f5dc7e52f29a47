"""Sums over the tokens of each excerpt: enough for every pooled correlation, also with an excerpt left out.

Excerpts of one kind (top, random) are centred on their own mean and the kinds are merged by the update formula of Chan, Golub
and LeVeque (1979): a neuron whose strongest excerpts are a thousand times its random ones loses no digits on the latter.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

Floats = Float[np.ndarray, "..."]
ROUNDING = 1e-12
"""A spread this small beside the values it comes from is float64's rounding, not a spread."""


@dataclass(frozen=True, slots=True)
class PairedSums:
    """Sums over tokens, each (neuron, excerpt), of values less `centre_x` and `centre_y`; 0 where an excerpt is left out."""

    tokens: Floats
    x: Floats
    y: Floats
    xx: Floats
    yy: Floats
    xy: Floats
    centre_x: Float[np.ndarray, "neuron 1"]
    centre_y: Float[np.ndarray, "neuron 1"]


@dataclass(frozen=True, slots=True)
class Totals:
    """Pooled over excerpts: any shape, one entry per neuron and choice of excerpts. `xx`, `yy`, `xy` are sums of centred products."""

    tokens: Floats
    mean_x: Floats
    mean_y: Floats
    xx: Floats
    yy: Floats
    xy: Floats


def paired_sums(
    x: Float[np.ndarray, "neuron excerpt token"], y: Float[np.ndarray, "neuron excerpt token"], use: Bool[np.ndarray, "neuron excerpt"]
) -> PairedSums:
    """Sum in float64 over the tokens of the excerpts in use; what stands in the others is not read."""
    tokens = use * float(x.shape[-1])
    count = np.maximum(tokens.sum(axis=1, keepdims=True), 1.0)
    centred, centres = [], []
    for values in (x, y):
        kept = np.where(use[..., None], values, 0).astype(np.float64)
        centre = kept.sum(axis=(1, 2))[:, None] / count
        kept -= centre[..., None]
        kept *= use[..., None]
        centred.append(kept)
        centres.append(centre)
    a, b = centred
    return PairedSums(
        tokens,
        a.sum(axis=-1),
        b.sum(axis=-1),
        np.einsum("net,net->ne", a, a),
        np.einsum("net,net->ne", b, b),
        np.einsum("net,net->ne", a, b),
        *centres,
    )


def totals(found: PairedSums) -> Totals:
    """Pool the excerpts, (neuron, 1)."""
    return pool(found, np.ones((found.tokens.shape[1], 1)))


def leave_one_out(found: PairedSums) -> Totals:
    """Pool all excerpts but one, (neuron, excerpt), each of the others weighted up so that all together count as much as before."""
    count = found.tokens.shape[1]
    rest = pool(found, 1.0 - np.eye(count))
    up = found.tokens.sum(axis=1, keepdims=True) / np.maximum(rest.tokens, 1.0)
    return Totals(rest.tokens * up, rest.mean_x, rest.mean_y, rest.xx * up, rest.yy * up, rest.xy * up)


def pool(found: PairedSums, chosen: Float[np.ndarray, "excerpt choice"]) -> Totals:
    """Pool the excerpts that each column of `chosen` marks with 1, (neuron, choice)."""
    tokens, x, y, xx, yy, xy = (sums @ chosen for sums in (found.tokens, found.x, found.y, found.xx, found.yy, found.xy))
    share = 1.0 / np.maximum(tokens, 1.0)
    return Totals(
        tokens,
        shifted(found.centre_x, x * share),
        shifted(found.centre_y, y * share),
        spread(xx - x * x * share, xx),
        spread(yy - y * y * share, yy),
        xy - x * y * share,
    )


def shifted(centre: Floats, by: Floats) -> Floats:
    """Sum of both; 0 where only rounding is left of the centre."""
    return np.where(np.abs(centre + by) > ROUNDING * np.abs(centre), centre + by, 0.0)


def spread(squares: Floats, raw: Floats) -> Floats:
    """Centred sum of squares; 0 where only rounding is left of the raw sum."""
    return np.where(squares > ROUNDING * raw, squares, 0.0)


def merge(a: Totals, b: Totals) -> Totals:
    """Pool two groups of excerpts."""
    tokens = a.tokens + b.tokens
    share = b.tokens / np.maximum(tokens, 1.0)
    between = a.tokens * share
    x, y = b.mean_x - a.mean_x, b.mean_y - a.mean_y
    return Totals(
        tokens,
        a.mean_x + x * share,
        a.mean_y + y * share,
        a.xx + b.xx + x * x * between,
        a.yy + b.yy + y * y * between,
        a.xy + b.xy + x * y * between,
    )


def correlations(pooled: Totals) -> Floats:
    """Pearson's r of each entry; NaN where either side is constant."""
    defined = varies(pooled.xx, pooled.mean_x, pooled.tokens) & varies(pooled.yy, pooled.mean_y, pooled.tokens)
    # Two roots, not the root of the product: the product of two small spreads is 0.
    scale = np.sqrt(pooled.xx) * np.sqrt(pooled.yy)
    return np.where(defined, np.clip(pooled.xy / np.where(defined, scale, 1.0), -1.0, 1.0), np.nan)


def prediction_scores(pooled: Totals) -> Floats:
    """Pearson's r of recorded (x) and predicted (y) values: 0 where the prediction alone is constant, NaN where the recording is.

    A constant says nothing about when a unit fires, and to leave it out would reward it.
    """
    varying = varies(pooled.xx, pooled.mean_x, pooled.tokens)
    return np.where(varying & ~varies(pooled.yy, pooled.mean_y, pooled.tokens), 0.0, correlations(pooled))


def varies(squares: Floats, mean: Floats, tokens: Floats) -> Bool[np.ndarray, "..."]:
    """Whether values vary by more than the rounding of their mean."""
    return np.asarray(np.sqrt(squares) > ROUNDING * np.abs(mean) * np.sqrt(tokens))


def correlation(recorded: Floats, simulated: Floats) -> float | None:
    """Correlation over all values of two arrays of one shape; None where either side is constant or empty.

    >>> correlation(np.array([0.0, 1.0, 5.0]), np.array([0.0, -2.0, -10.0]))
    -1.0
    >>> correlation(np.array([0.0, 1.0, 5.0]), np.zeros(3)) is None
    True
    """
    return number(correlations(pooled(recorded, simulated)))


def prediction_score(recorded: Floats, simulated: Floats) -> float | None:
    """The same, but 0 where the prediction alone is constant; None where the recording is, or is empty.

    >>> prediction_score(np.array([0.0, 1.0, 5.0]), np.zeros(3)), prediction_score(np.zeros(3), np.array([0.0, 1.0, 5.0]))
    (0.0, None)
    """
    return number(prediction_scores(pooled(recorded, simulated)))


def pooled(recorded: Floats, simulated: Floats) -> Totals:
    """All values of two arrays of one shape; ValueError where the shapes differ."""
    if recorded.shape != simulated.shape:
        raise ValueError(f"recorded {recorded.shape} and simulated {simulated.shape} differ in shape")
    return totals(paired_sums(recorded.reshape(1, 1, -1), simulated.reshape(1, 1, -1), np.full((1, 1), recorded.size > 0)))


def number(found: Floats) -> float | None:
    """A single entry; NaN becomes None."""
    return None if np.isnan(found[0, 0]) else float(found[0, 0])
