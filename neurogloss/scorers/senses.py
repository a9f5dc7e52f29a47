"""Score each of several senses by itself, and the one sentence that they replaced, as explanations are scored."""

from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from neurogloss.artifacts.explanations import Explanations
from neurogloss.artifacts.recordings import Split
from neurogloss.artifacts.status import CODES, Status
from neurogloss.measures.correlation import merge, prediction_scores, totals
from neurogloss.scorers.blocks import ScoreInputs, SplitLayout, by_kind, layout, pooled, usable
from neurogloss.scorers.intervals import correlation_intervals

BLOCK = 512
"""Senses at a time."""
DIGITS = 9
"""Decimals kept: what is beyond differs between processors."""


def sense_columns(block: ScoreInputs, explanations: Explanations) -> dict[str, Any]:
    """The columns of `neurogloss.artifacts.scores.SENSES`, NaN where undefined; none where no explanation has several senses."""
    found = block.simulations.senses
    if found is None:
        return {}
    scored: list[dict[str, Any]] = []
    for start in range(0, len(found.rows), BLOCK):
        part = slice(start, start + BLOCK)
        rows = np.asarray(found.rows[part])
        scored += scores_of(block, rows, np.asarray(found.levels[part])[:, block.score.places], np.asarray(found.status[part]))
    several: list[list[dict[str, Any]]] = [[] for _ in explanations.rows]
    for row, one in zip(found.rows.tolist(), scored, strict=True):
        sense = explanations.rows[row].senses[len(several[row])]
        several[row].append({"text": sense.text, "share": sense.share, **one})
    return {"senses": several, "single": single_scores(block)}


def scores_of(
    block: ScoreInputs,
    rows: Int[np.ndarray, " sense"],
    levels: Float[np.ndarray, "sense excerpt token"],
    status: UInt8[np.ndarray, "sense place"],
) -> list[dict[str, Any]]:
    """Status, score and interval of some senses; None where undefined."""
    use = usable(status, block.score, block.enough) & ~block.recordings.silent[rows, None]
    recorded = block.recordings.activations[rows[:, None], block.score.slots]
    top, random = by_kind(recorded, levels, use, block.score.tops)
    score = prediction_scores(merge(totals(top), totals(random)))[:, 0]
    low, high = (np.where(np.isnan(score), np.nan, end) for end in correlation_intervals(top, random))
    return [
        {"status": str(why(one[block.score.places], bool(used), value))} | {name: number(end) for name, end in zip(ENDS, ends, strict=True)}
        for one, used, value, ends in zip(status, use.any(axis=1), score, np.stack([score, low, high], axis=1), strict=True)
    ]


ENDS = ("score", "ci_low", "ci_high")


def why(codes: UInt8[np.ndarray, " excerpt"], used: bool, score: float) -> Status:
    """Why a sense has no score, or OK."""
    if used:
        return Status.CONSTANT if np.isnan(score) else Status.OK
    return next((CODES[code] for code in codes if CODES[code] is not Status.OK), Status.UNANSWERED)


def number(value: float) -> float | None:
    """Rounded; NaN becomes None."""
    return None if np.isnan(value) else round(float(value), DIGITS)


def single_scores(block: ScoreInputs) -> Float[np.ndarray, " neuron"]:
    """Score of the one sentence that several senses replaced; NaN for all other units."""
    found, scores = block.simulations.senses, np.full(len(block.recordings), np.nan)
    if found is None:
        return scores
    where: SplitLayout = layout(block.recordings, found.single_slots, Split.SCORE)
    rows = np.unique(found.rows)
    use: Bool[np.ndarray, "neuron excerpt"] = usable(np.asarray(found.single_status), where, block.enough)
    recorded = block.recordings.activations[rows[:, None], where.slots]
    scores[rows] = prediction_scores(pooled(recorded, np.asarray(found.single_levels)[:, where.places], use, where.tops))[:, 0]
    return scores
