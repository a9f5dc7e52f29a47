"""Score a block of neurons: from arrays of activations and levels to one number per neuron."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from neurogloss.artifacts.recordings import Kind, Recordings, Split
from neurogloss.artifacts.simulations import OK, Simulations
from neurogloss.errors import UserError
from neurogloss.measures.correlation import Floats, PairedSums, Totals, correlations, merge, paired_sums, totals
from neurogloss.scorers.calibration import absolute_deviation_explained, fit, variance_explained
from neurogloss.scorers.control import NOBODY
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
    enough: float
    """Share of the excerpts of each kind that must have a simulation."""
    partners: Int[np.ndarray, "draw all_neurons"]
    pairings: Int[np.ndarray, "all_neurons excerpt"]


def layout(recordings: Recordings, simulations: Simulations, split: Split) -> SplitLayout:
    """Where a split's excerpts are; UserError unless all of them were simulated."""
    places = {int(slot): place for place, slot in enumerate(simulations.slots)}
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
    status = np.asarray(block.simulations.status[rows])
    use = usable(status, block.score, block.enough) & ~block.recordings.silent[rows, None]
    recorded = block.recordings.activations[rows[:, None], block.score.slots]
    simulated = block.simulations.levels[rows[:, None], block.score.places]
    tops = block.score.tops
    top, random = by_kind(recorded, simulated, use, tops)
    both = merge(totals(top), totals(random))
    low, high = correlation_intervals(top, random)
    line = fit(
        pooled(
            block.recordings.activations[rows[:, None], block.calibrate.slots],
            block.simulations.levels[rows[:, None], block.calibrate.places],
            usable(status, block.calibrate, block.enough),
            tops=block.calibrate.tops,
        )
    )
    found = correlations(both)[:, 0]
    return {
        "excerpts": (status[:, block.score.places] == OK).sum(axis=1),
        "top_and_random": found,
        "random_only": correlations(totals(random))[:, 0],
        "top_only": correlations(totals(top))[:, 0],
        "ci_low": np.where(np.isnan(found), np.nan, low),
        "ci_high": np.where(np.isnan(found), np.nan, high),
        "variance_explained": variance_explained(line, both)[:, 0],
        "absolute_deviation_explained": absolute_deviation_explained(line, recorded, simulated, use)[:, 0],
        "token_table": correlations(pooled(recorded, baseline, use, tops))[:, 0],
        "control": control(block, rows, simulated, use),
    }


def control(
    block: ScoreInputs,
    rows: Int[np.ndarray, " neuron"],
    simulated: Float[np.ndarray, "neuron excerpt token"],
    use: Bool[np.ndarray, "neuron excerpt"],
) -> Floats:
    """Mean correlation of each simulation with the partners' recordings on their own score excerpts, in a random order; NaN without one."""
    total, count = np.zeros(len(rows)), np.zeros(len(rows))
    for draw, others in enumerate(block.partners[:, rows]):
        slots = block.score.slots[np.roll(block.pairings[rows], draw, axis=1)]
        borrowed = block.recordings.activations[others[:, None], slots]
        found = correlations(totals(paired_sums(borrowed, simulated, use & (others != NOBODY)[:, None])))[:, 0]
        total += np.nan_to_num(found)
        count += ~np.isnan(found)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
