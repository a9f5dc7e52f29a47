"""Simulations and explanations of made-up recordings, from a rule."""

from collections.abc import Callable

import numpy as np

from neurogloss.artifacts.candidates import Candidate
from neurogloss.artifacts.explanations import Explanation, Explanations, explanations
from neurogloss.artifacts.recordings import Recordings, Split
from neurogloss.artifacts.simulations import Simulations
from neurogloss.artifacts.status import CODES, Status

Rule = Callable[[np.ndarray], np.ndarray]


def explained(recordings: Recordings, failures: dict[int, Status] | None = None) -> Explanations:
    """A sentence for every neuron; silent ones have none, and neither have those rows named in `failures`."""
    rows = []
    for row, (layer, index) in enumerate(zip(recordings.layers.tolist(), recordings.indices.tolist(), strict=True)):
        status = Status.SILENT if recordings.silent[row] else (failures or {}).get(row, Status.OK)
        text = f"words like w{row}, and [brackets]" if status is Status.OK else None
        rows.append(Explanation(layer, index, Candidate(text, status), (Candidate(text, status),)))
    return explanations(rows)


def simulated(recordings: Recordings, rule: Rule, failures: dict[tuple[int, int], Status] | None = None) -> Simulations:
    """Levels made by `rule` from true levels (0..10, not whole), with failures at (row, place); silent neurons have none."""
    slots = recordings.slots.where(Split.CALIBRATE, Split.SCORE)
    activations = np.asarray(recordings.activations[:, slots], dtype=np.float32)
    peaks = np.where(recordings.silent, 1.0, recordings.peaks)[:, None, None]
    levels = np.asarray(rule(10 * activations / peaks), dtype=np.float16)
    status = np.full(levels.shape[:2], CODES.index(Status.OK), np.uint8)
    status[recordings.silent] = CODES.index(Status.SILENT)
    for place, failure in (failures or {}).items():
        status[place] = CODES.index(failure)
    levels[status != CODES.index(Status.OK)] = np.nan
    return Simulations("made up", recordings.layers, recordings.indices, slots, levels, status)
