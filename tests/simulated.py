"""Simulations and explanations of made-up recordings, from a rule."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from neurogloss.artifacts.candidates import Candidate
from neurogloss.artifacts.explanations import Explanation, Explanations, explanations
from neurogloss.artifacts.recordings import Recordings, Split
from neurogloss.artifacts.simulations import Borrowed, Simulations, nothing_borrowed
from neurogloss.artifacts.status import CODES, Status
from neurogloss.config.params import Params, load_params
from neurogloss.config.score import ScoreParams
from neurogloss.simulators.borrowing import lenders_of

ROOT = Path(__file__).parents[1]
Rule = Callable[[np.ndarray], np.ndarray]


def scoring(**changes: object) -> Params:
    """The params of this repository with few bins, no language model for scores, and these changes to the section `score`."""
    chosen = ScoreParams.model_validate({"seed": 0, "controls": "auto", "bins": 10, "min_excerpts_share": 0.5} | changes)
    return load_params(ROOT / "params.yaml").model_copy(update={"score": chosen})


def explained(recordings: Recordings, failures: dict[int, Status] | None = None) -> Explanations:
    """A sentence for every neuron; silent ones have none, and neither have those rows named in `failures`."""
    rows = []
    for row, (layer, index) in enumerate(zip(recordings.layers.tolist(), recordings.indices.tolist(), strict=True)):
        status = Status.SILENT if recordings.silent[row] else (failures or {}).get(row, Status.OK)
        text = f"words like w{row}, and [brackets]" if status is Status.OK else None
        rows.append(Explanation(layer, index, Candidate(text, status), (Candidate(text, status),)))
    return explanations(rows)


def true_levels(recordings: Recordings, slots: np.ndarray) -> np.ndarray:
    """Levels 0..10, not whole and not cut off, of every neuron on these slots."""
    activations = np.asarray(recordings.activations[:, slots], dtype=np.float32)
    return np.asarray(10 * activations / np.where(recordings.silent, 1.0, recordings.peaks)[:, None, None])


def simulated(
    recordings: Recordings,
    rule: Rule,
    failures: dict[tuple[int, int], Status] | None = None,
    borrow: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
    draws: int = 4,
) -> Simulations:
    """Levels made by `rule` from true levels, with failures at (row, place); silent neurons have none.

    `borrow` makes the levels of borrowed sentences (neuron, place, token) on each neuron's score slots, given the rows of the lenders.
    """
    slots = recordings.slots.where(Split.CALIBRATE, Split.SCORE)
    levels = np.asarray(rule(true_levels(recordings, slots)), dtype=np.float16)
    status = np.full(levels.shape[:2], CODES.index(Status.OK), np.uint8)
    status[recordings.silent] = CODES.index(Status.SILENT)
    for place, failure in (failures or {}).items():
        status[place] = CODES.index(failure)
    levels[status != CODES.index(Status.OK)] = np.nan
    borrowed = nothing_borrowed() if borrow is None else lent(recordings, borrow, draws)
    return Simulations("made up", recordings.layers, recordings.indices, slots, levels, status, borrowed)


def honest(recordings: Recordings) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """What a simulator that reads makes of borrowed sentences: levels where the tokens stand on which the lender is active."""
    lively = np.nan_to_num(np.asarray(recordings.token_means, np.float64)) > 0.5
    slots = recordings.slots.where(Split.SCORE)

    def levels(rows: np.ndarray, lenders: np.ndarray) -> np.ndarray:
        tokens = recordings.corpus[recordings.excerpts[rows[:, None], slots]]
        found = 10.0 * np.take_along_axis(lively[lenders], tokens.reshape(len(rows), -1), axis=1)
        return np.asarray(found.reshape(tokens.shape))

    return levels


def lent(recordings: Recordings, borrow: Callable[[np.ndarray, np.ndarray], np.ndarray], draws: int) -> Borrowed:
    """Borrowed simulations of all neurons that are not silent."""
    rows = np.flatnonzero(~recordings.silent).astype(np.int32)
    lenders = lenders_of(recordings.layers, ~recordings.silent, rows, draws, np.random.default_rng(0))
    slots = recordings.slots.where(Split.SCORE)
    levels = np.stack([borrow(rows, lenders[:, draw]) for draw in range(draws)], axis=1).astype(np.float16)
    return Borrowed(rows, lenders, slots, levels, np.zeros(levels.shape[:3], np.uint8))
