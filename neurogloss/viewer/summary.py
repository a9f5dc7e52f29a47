"""The whole in numbers: means with intervals, distributions, layers, the neurons worth a look."""

from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from neurogloss.artifacts.status import CODES, Status
from neurogloss.scorers.intervals import mean_interval
from neurogloss.viewer.encode import json_numbers
from neurogloss.viewer.result import ViewedResult, ViewedVariant

EDGES = np.linspace(-1, 1, 41)
"""Of the score histograms."""
GOOD = 0.8
UNEXPLAINED = 0.2
MEANS = ("top_and_random", "random_only", "top_only", "token_table", "control", "margin", "sensitivity")
LISTED = 12
MEANINGS = {
    Status.OK: "scored",
    Status.SILENT: "silent: never above zero on the excerpts its explanation is made from",
    Status.CONSTANT: "undefined: the recorded activations are all alike",
    Status.NOT_GIVEN: "the file of given explanations has none",
    Status.NO_EXPLANATION: "no explanation was found, which scores 0 as a constant prediction does",
    Status.REFUSED: "the model refused to answer",
    Status.CUT_OFF: "the answer was cut off",
    Status.UNPARSABLE: "the answer did not have the asked form",
    Status.UNANSWERED: "no answer after every retry",
    Status.TOO_LONG: "the prompt does not fit the model's context",
}


def summary(result: ViewedResult, variant: ViewedVariant) -> dict[str, Any]:
    """What the overview shows of one variant, over all recorded neurons."""
    scores = variant.scores
    score = scores["top_and_random"]
    counts = np.bincount(variant.statuses + 1, minlength=len(CODES) + 1)
    return {
        "name": variant.name,
        "method": variant.simulations.method,
        "neurons": len(score),
        "scored": int(np.isfinite(score).sum()),
        "statuses": [int(c) for c in counts],
        "means": {column: mean(scores[column]) for column in MEANS},
        "shares": [[bar, share_above(score, bar)] for bar in (GOOD, 0.7, 0.5)],
        "histograms": {column: histogram(scores[column]) for column in ("top_and_random", "token_table", "control")},
        "layers": by_layer(result.recordings.layers, score),
    }


def mean(values: Float32[np.ndarray, " neuron"]) -> dict[str, float | int | None]:
    """Mean over the neurons that have the score, with its 95 % interval."""
    there = values[np.isfinite(values)].astype(np.float64)
    if not len(there):
        return {"mean": None, "low": None, "high": None, "count": 0}
    middle, low, high = json_numbers(np.array([there.mean(), *(mean_interval(there) or (np.nan, np.nan))]))
    return {"mean": middle, "low": low, "high": high, "count": len(there)}


def share_above(score: Float32[np.ndarray, " neuron"], bar: float) -> float | None:
    """Share of the scored neurons at or above a bar."""
    there = score[np.isfinite(score)]
    return round(float((there >= bar).mean()), 6) if len(there) else None


def histogram(values: Float32[np.ndarray, " neuron"]) -> list[int]:
    """Counts per bin of EDGES."""
    return [int(c) for c in np.histogram(values[np.isfinite(values)].clip(-1, 1), EDGES)[0]]


def by_layer(layers: Int[np.ndarray, " neuron"], score: Float32[np.ndarray, " neuron"]) -> list[dict[str, Any]]:
    """Per layer: how many neurons were scored, quartiles, a histogram, and the scores themselves where they are few."""
    found = []
    for layer in np.unique(layers):
        there = score[(layers == layer) & np.isfinite(score)]
        quartiles = np.quantile(there, [0.1, 0.25, 0.5, 0.75, 0.9]) if len(there) else np.full(5, np.nan)
        row: dict[str, Any] = {"layer": int(layer), "count": len(there), "mean": mean(there), "quantiles": json_numbers(quartiles)}
        found.append(row | ({"scores": json_numbers(there, 3)} if len(there) <= 60 else {"histogram": histogram(there)}))
    return found


def peak_deviations(result: ViewedResult) -> Float[np.ndarray, " neuron"]:
    """How many standard deviations the strongest activation stands above the mean; NaN where the neuron is silent or constant."""
    statistics = result.recordings.statistics
    spread = np.sqrt(statistics["variance"].to_numpy())
    above = result.recordings.peaks - statistics["mean"].to_numpy()
    return np.asarray(np.divide(above, spread, out=np.full(len(spread), np.nan), where=spread > 0))


def best(result: ViewedResult, count: int = LISTED) -> Int[np.ndarray, " row"]:
    """Rows with a page, best score first."""
    score = result.variants[0].scores["top_and_random"][result.rows]
    there = np.flatnonzero(np.isfinite(score))
    return np.asarray(result.rows[there[np.argsort(-score[there], kind="stable")][:count]])


def strong_but_unexplained(result: ViewedResult, count: int = LISTED) -> Int[np.ndarray, " row"]:
    """Rows with a page whose peak is in the upper quarter, in standard deviations, and whose score is low or missing; strongest first."""
    peak, score = peak_deviations(result), result.variants[0].scores["top_and_random"]
    fires = np.isfinite(peak)
    if not fires.any():
        return np.zeros(0, np.int64)
    unexplained: Bool[np.ndarray, " neuron"] = fires & (peak >= np.quantile(peak[fires], 0.75)) & ~(score >= UNEXPLAINED)
    there = result.rows[unexplained[result.rows]]
    return np.asarray(there[np.argsort(-peak[there], kind="stable")][:count])
