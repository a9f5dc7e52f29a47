"""Score a block of neurons: from arrays of activations and levels to one number per neuron."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from neurogloss.artifacts.recordings import Kind, Recordings, Split
from neurogloss.artifacts.simulations import NOBODY, OK, Simulations
from neurogloss.errors import UserError
from neurogloss.measures.correlation import (
    Floats,
    PairedSums,
    Totals,
    correlations,
    merge,
    paired_sums,
    prediction_scores,
    totals,
)
from neurogloss.scorers.calibration import Line, fit, variance_explained
from neurogloss.scorers.intervals import correlation_intervals


@dataclass(frozen=True, slots=True)
class SplitLayout:
    """One split: its slots in the recordings, the same as places in the simulations, top excerpts first."""

    slots: Int[np.ndarray, " excerpt"]
    places: Int[np.ndarray, " excerpt"]
    tops: int


@dataclass(frozen=True, slots=True)
class ScoreInputs:
    """Some neurons, what to compare them with, and how."""

    recordings: Recordings
    simulations: Simulations
    score: SplitLayout
    calibrate: SplitLayout
    borrowed: SplitLayout
    """The score split; places are those of the borrowed simulations."""
    enough: float
    """Share of the excerpts of each kind that must have a simulation."""
    sentences: Int[np.ndarray, " all_neurons"]
    """Equal numbers for equal sentences, NOBODY for none."""
    unexplained: Bool[np.ndarray, " all_neurons"]
    """Neurons for which no explanation was found: their simulation is a constant."""


class Prediction(NamedTuple):
    """Levels of some neurons on the excerpts of a split, and which of the excerpts count."""

    levels: Float[np.ndarray, "neuron excerpt token"]
    use: Bool[np.ndarray, "neuron excerpt"]


def layout(recordings: Recordings, simulated: Int[np.ndarray, " place"], split: Split) -> SplitLayout:
    """Where a split's excerpts are among the simulated slots; UserError unless all of them are there."""
    places = {int(slot): place for place, slot in enumerate(simulated)}
    tops, slots = len(recordings.slots.where(split, kind=Kind.TOP)), recordings.slots.where(split)
    if not len(slots):
        raise UserError(f"these recordings hold no excerpts of the {split} split; raise record.top and record.random")
    if not set(places) >= {int(slot) for slot in slots}:
        raise UserError(f"the simulations lack excerpts of the {split} split of these recordings; run `dvc repro`")
    return SplitLayout(slots, np.array([places[int(slot)] for slot in slots], dtype=np.int64), tops)


def usable(status: Int[np.ndarray, "neuron place"], where: SplitLayout, enough: float) -> Bool[np.ndarray, "neuron excerpt"]:
    """Excerpts that have a simulation; none for a neuron that has too few of either kind."""
    use = status[:, where.places] == OK
    kinds = [use[:, : where.tops], use[:, where.tops :]]
    kept = np.all([kind.sum(axis=1) >= max(1.0, enough * kind.shape[1]) for kind in kinds if kind.shape[1]], axis=0)
    return np.asarray(use & kept[:, None])


def prediction(block: ScoreInputs, rows: Int[np.ndarray, " neuron"], where: SplitLayout) -> Prediction:
    """What each neuron's own sentence predicts; level 0 throughout where none was found, nothing for a silent neuron."""
    levels = np.array(block.simulations.levels[rows[:, None], where.places])
    use = usable(np.asarray(block.simulations.status[rows]), where, block.enough)
    nothing = block.unexplained[rows]
    levels[nothing] = 0
    return Prediction(levels, (use | nothing[:, None]) & ~block.recordings.silent[rows, None])


def by_kind(x: Floats, y: Floats, use: Bool[np.ndarray, "neuron excerpt"], tops: int) -> tuple[PairedSums, PairedSums]:
    """Moments of the top and of the random excerpts."""
    return paired_sums(x[:, :tops], y[:, :tops], use[:, :tops]), paired_sums(x[:, tops:], y[:, tops:], use[:, tops:])


def pooled(x: Floats, y: Floats, use: Bool[np.ndarray, "neuron excerpt"], tops: int) -> Totals:
    """All excerpts of a split pooled."""
    top, random = by_kind(x, y, use, tops)
    return merge(totals(top), totals(random))


def scores_of(
    block: ScoreInputs, rows: Int[np.ndarray, " neuron"], baseline: Float[np.ndarray, "neuron excerpt token"]
) -> dict[str, Floats]:
    """The score columns of some neurons, NaN where undefined. `baseline` holds the table's levels on the score excerpts."""
    tops = block.score.tops
    recorded = block.recordings.activations[rows[:, None], block.score.slots]
    own = prediction(block, rows, block.score)
    top, random = by_kind(recorded, own.levels, own.use, tops)
    both = merge(totals(top), totals(random))
    line = calibration_line(block, rows)
    low, high = correlation_intervals(top, random)
    found = prediction_scores(both)[:, 0]
    unscored = np.isnan(found)
    every = np.broadcast_to(~block.recordings.silent[rows, None], own.use.shape)
    control, sensitivity = borrowed_scores(block, rows, recorded, own)
    return {
        "excerpts": (np.asarray(block.simulations.status[rows])[:, block.score.places] == OK).sum(axis=1),
        "top_and_random": found,
        "random_only": prediction_scores(totals(random))[:, 0],
        "top_only": prediction_scores(totals(top))[:, 0],
        "ci_low": np.where(unscored, np.nan, low),
        "ci_high": np.where(unscored, np.nan, high),
        "variance_explained": variance_explained(line, both)[:, 0],
        "token_table": prediction_scores(pooled(recorded, baseline, every, tops))[:, 0],
        "control": np.where(unscored, np.nan, control),
        "margin": found - control,
        "sensitivity": sensitivity,
    }


def calibration_line(block: ScoreInputs, rows: Int[np.ndarray, " neuron"]) -> Line:
    """From levels to activations, fitted on the calibrate split."""
    fitted = prediction(block, rows, block.calibrate)
    recorded = block.recordings.activations[rows[:, None], block.calibrate.slots]
    return fit(pooled(recorded, fitted.levels, fitted.use, tops=block.calibrate.tops))


class BorrowedScores(NamedTuple):
    """NaN for neurons without a control."""

    control: Float[np.ndarray, " neuron"]
    """Mean score of other neurons' sentences on this neuron's excerpts."""
    sensitivity: Float[np.ndarray, " neuron"]
    """Mean correlation of the levels of its sentence with those of different sentences, constant ones left out."""


def borrowed_scores(
    block: ScoreInputs, rows: Int[np.ndarray, " neuron"], recorded: Float[np.ndarray, "neuron excerpt token"], own: Prediction
) -> BorrowedScores:
    """Score what was simulated of other neurons' sentences."""
    borrowed, tops = block.simulations.borrowed, block.borrowed.tops
    scores, likeness = (np.full((len(rows), max(1, borrowed.lenders.shape[1])), np.nan) for _ in range(2))
    here = np.flatnonzero(np.isin(rows, borrowed.rows))
    at = np.searchsorted(borrowed.rows, rows[here])
    for draw in range(borrowed.lenders.shape[1] if len(here) else 0):
        lenders = borrowed.lenders[at, draw]
        levels = np.asarray(borrowed.levels[at, draw])[:, block.borrowed.places]
        use = usable(np.asarray(borrowed.status[at, draw]), block.borrowed, block.enough)
        scores[here, draw] = prediction_scores(pooled(recorded[here], levels, use, tops))[:, 0]
        alike = correlations(pooled(own.levels[here], levels, use & own.use[here], tops))[:, 0]
        same = block.sentences[rows[here]] == block.sentences[lenders]
        likeness[here, draw] = np.where(same | (lenders == NOBODY), np.nan, alike)
    return BorrowedScores(mean(scores), mean(likeness))


def mean(values: Float[np.ndarray, "neuron draw"]) -> Float[np.ndarray, " neuron"]:
    """Mean over the draws that are numbers; NaN where none is."""
    count = (~np.isnan(values)).sum(axis=1)
    return np.where(count > 0, np.nansum(values, axis=1) / np.maximum(count, 1), np.nan)
