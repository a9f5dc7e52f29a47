"""Ablation score (Bills et al. 2023): what the subject's predictions keep when a unit does what its explanation says, and nothing else.

Per excerpt the subject runs as it is, with the unit at the simulated values (levels on the line of the calibrate split) and with it at its
mean. With the Jensen-Shannon divergence of either from the clean run, averaged over tokens and excerpts,

    score = 1 - divergence(simulation) / divergence(mean)

so the unit's true values score 1 and its mean 0. There is no score where the mean ablation changes nothing.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float64, Int

from neurogloss.artifacts.explanations import Explanations
from neurogloss.artifacts.recordings import OPEN_SPLITS, Kind, Recordings
from neurogloss.artifacts.simulations import NOBODY
from neurogloss.artifacts.status import Status
from neurogloss.scorers.blocks import ScoreInputs, calibration_line, prediction, usable
from neurogloss.scorers.calibration import Line
from neurogloss.scorers.intervals import ratio_intervals
from neurogloss.subject.changes import Change

NOTHING = 1e-9
"""Mean divergence in nats below which an ablation changes nothing: in float32 an unchanged unit gives up to 3e-10."""
CONTROLS = 24
"""Units on which another unit's sentence is tried, too, at most: of 240 units a twentieth of all runs of the subject."""


Diverge = Callable[[Sequence[Change]], Float64[np.ndarray, " change"]]
"""Mean divergence in nats of each change from the clean run: `neurogloss.subject.ablation`."""


class Divergences(NamedTuple):
    """Mean divergence from the clean run, of each unit on each score excerpt; NaN where the excerpt is not in use."""

    simulated: Float64[np.ndarray, "neuron excerpt"]
    mean: Float64[np.ndarray, "neuron excerpt"]
    borrowed: Float64[np.ndarray, "neuron excerpt"]
    """With another unit's sentence; NaN for units without a control."""


def ablation_columns(block: ScoreInputs, explanations: Explanations, diverge: Diverge) -> dict[str, object]:
    """The columns of the scores that ablation fills, NaN where undefined."""
    rows = np.arange(len(block.recordings))
    own, line = prediction(block, rows, block.score), calibration_line(block, rows)
    use = own.use & ~block.unexplained[:, None] & np.isfinite(line.intercept)
    found = measure(block, rows, use, values_on(line, own.levels), borrowed_values(block, line), diverge)
    score = scores(found.simulated, found.mean)
    unexplained = block.unexplained & ~block.recordings.silent
    low, high = ratio_intervals(found.simulated, found.mean, block.score.tops)
    return {
        "ablation": np.where(unexplained, 0.0, score),
        "ablation_random_only": np.where(
            unexplained, 0.0, scores(found.simulated[:, block.score.tops :], found.mean[:, block.score.tops :])
        ),
        "ablation_ci_low": np.where(np.isnan(score), np.nan, 1 - high),
        "ablation_ci_high": np.where(np.isnan(score), np.nan, 1 - low),
        "ablation_control": scores(found.borrowed, np.where(np.isnan(found.borrowed), np.nan, found.mean)),
        "ablation_status": [
            str(why(status, bool(used), value)) for status, used, value in zip(explanations.statuses, use.any(axis=1), score, strict=True)
        ],
    }


def why(explained: Status, used: bool, score: float) -> Status:
    """Why a unit has no ablation score, or OK."""
    if explained is not Status.OK:
        return explained
    if not used:
        return Status.UNANSWERED
    return Status.NO_EFFECT if np.isnan(score) else Status.OK


def scores(changed: Float64[np.ndarray, "neuron excerpt"], mean: Float64[np.ndarray, "neuron excerpt"]) -> Float64[np.ndarray, " neuron"]:
    """1 - divergence / divergence of the mean, over the excerpts that have both; NaN where there is none or the mean changes nothing."""
    count = np.maximum((~np.isnan(mean)).sum(axis=1), 1)
    over = np.nansum(mean, axis=1)
    return np.where(over / count > NOTHING, 1 - np.nansum(changed, axis=1) / np.where(over > 0, over, 1.0), np.nan)


def values_on(line: Line, levels: Float[np.ndarray, "neuron excerpt token"]) -> Float[np.ndarray, "neuron excerpt token"]:
    """Levels as activations."""
    return np.asarray(line.slope[..., None] * levels.astype(np.float64) + line.intercept[..., None], np.float32)


def borrowed_values(block: ScoreInputs, line: Line) -> dict[int, Float[np.ndarray, "excerpt token"]]:
    """What the first borrowed sentence predicts for some units, on the unit's own line; those that were not simulated are left out."""
    borrowed = block.simulations.borrowed
    if not len(borrowed) or not borrowed.lenders.shape[1]:
        return {}
    at = np.arange(0, len(borrowed.rows), -(-len(borrowed.rows) // CONTROLS))
    lent = borrowed.lenders[at, 0] != NOBODY
    use = usable(np.asarray(borrowed.status[at, 0]), block.borrowed, block.enough).all(axis=1)
    at = at[lent & use]
    rows = borrowed.rows[at]
    values = values_on(Line(line.slope[rows], line.intercept[rows]), np.asarray(borrowed.levels[at, 0])[:, block.borrowed.places])
    return {int(row): one for row, one in zip(rows, values, strict=True)}


def measure(
    block: ScoreInputs,
    rows: Int[np.ndarray, " neuron"],
    use: Bool[np.ndarray, "neuron excerpt"],
    simulated: Float[np.ndarray, "neuron excerpt token"],
    borrowed: dict[int, Float[np.ndarray, "excerpt token"]],
    diverge: Diverge,
) -> Divergences:
    """Run the subject with each unit's simulated values, its mean and, for some, borrowed values."""
    recordings, means = block.recordings, unit_means(block.recordings)
    changes: list[Change] = []
    places: list[tuple[int, int, int]] = []
    for row in rows.tolist():
        for place in np.flatnonzero(use[row]).tolist():
            at = int(recordings.excerpts[row, block.score.slots[place]]), int(recordings.layers[row]), int(recordings.indices[row])
            tried = [simulated[row, place], np.full(simulated.shape[2], means[row], np.float32)]
            tried += [borrowed[row][place]] if row in borrowed else []
            changes += [Change(*at, values) for values in tried]
            places += [(which, row, place) for which in range(len(tried))]
    found = np.full((3, *use.shape), np.nan)
    if changes:
        found[tuple(np.array(places).T)] = diverge(changes)
    return Divergences(*found)


def unit_means(recordings: Recordings) -> Float64[np.ndarray, " neuron"]:
    """Each unit's mean over its random excerpts outside of the score split; 0 where there is none."""
    randoms = recordings.slots.where(*OPEN_SPLITS, kind=Kind.RANDOM)
    if not len(randoms):
        return np.zeros(len(recordings))
    return np.array([float(np.asarray(recordings.activations[row, randoms], np.float64).mean()) for row in range(len(recordings))])
