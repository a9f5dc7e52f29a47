"""A whole result, opened for looking at: what the four stages wrote, and which row a neuron's name means."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from neurogloss.artifacts.explanations import Explanations, read_explanations
from neurogloss.artifacts.recordings import Recordings, name, read_recordings
from neurogloss.artifacts.scores import read_scores
from neurogloss.artifacts.simulations import Simulations, read_simulations
from neurogloss.errors import UserError

NAME = re.compile(r"L?(\d{1,6})(?:[.:/]N?|N)(\d{1,9})", re.IGNORECASE)
NEAREST = 5


@dataclass(frozen=True)
class Results:
    """Recordings, explanations, simulations and scores of the same neurons, row by row."""

    recordings: Recordings
    explanations: Explanations
    simulations: Simulations
    scores: pa.Table

    def __post_init__(self) -> None:
        layers, indices = self.recordings.layers, self.recordings.indices
        others = {
            "explanations": (self.explanations.layers, self.explanations.indices),
            "simulations": (self.simulations.layers, self.simulations.indices),
            "scores": (self.scores["layer"].to_numpy(), self.scores["neuron"].to_numpy()),
        }
        for what, (other_layers, other_indices) in others.items():
            if not (np.array_equal(layers, other_layers) and np.array_equal(indices, other_indices)):
                raise UserError(f"the {what} are of other neurons than the recordings; run `dvc repro`")

    def __len__(self) -> int:
        return len(self.recordings)

    def score(self, row: int) -> dict[str, Any]:
        """The score columns of one neuron."""
        return dict(self.scores.slice(row, 1).to_pylist()[0])


def read_results(folder: Path) -> Results:
    """Open what the stages wrote under `folder`, usually `data`."""
    return Results(
        read_recordings(folder / "recordings"),
        read_explanations(folder / "explanations.parquet"),
        read_simulations(folder / "simulations"),
        read_scores(folder / "scores.parquet"),
    )


def row_of(recordings: Recordings, text: str) -> int:
    """Row of the neuron that `text` names; UserError with the nearest recorded ones otherwise.

    `L5.N131` is the name; `L5N131`, `5.131`, `5:131` and `5/131` are understood.
    """
    match = NAME.fullmatch(text.strip())
    if not match:
        raise UserError(f"{text!r} is not a neuron's name, expected a layer and an index such as {example(recordings)}")
    layer, index = int(match[1]), int(match[2])
    try:
        return recordings.row(layer, index)
    except KeyError:
        near = ", ".join(nearest(recordings, layer, index)) or "none at all"
        raise UserError(
            f"{name(layer, index)} is not among the {len(recordings):,} recorded neurons, the nearest are {near}; "
            "record.layers and record.neurons in params.yaml say which are recorded"
        ) from None


def nearest(recordings: Recordings, layer: int, index: int) -> list[str]:
    """Names of the recorded neurons next to a place: by layer, then by index."""
    distance = np.lexsort(
        (np.abs(recordings.indices.astype(np.int64) - index), np.abs(recordings.layers.astype(np.int64) - layer)),
    )
    return [name(int(recordings.layers[row]), int(recordings.indices[row])) for row in distance[:NEAREST]]


def example(recordings: Recordings) -> str:
    """A name that exists, or one that looks like one."""
    return name(int(recordings.layers[0]), int(recordings.indices[0])) if len(recordings) else "L5.N131"
