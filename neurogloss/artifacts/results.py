"""A whole result, opened for looking at: what the four stages wrote, and which row a unit's name means."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from neurogloss.artifacts.explanations import Explanations, read_explanations
from neurogloss.artifacts.recordings import Recordings, read_recordings
from neurogloss.artifacts.scores import read_scores
from neurogloss.artifacts.simulations import Simulations, read_simulations
from neurogloss.artifacts.units import parse_name, unit_name
from neurogloss.errors import UserError

NEAREST = 5


@dataclass(frozen=True)
class Results:
    """Recordings, explanations, simulations and scores of the same units, row by row."""

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
                raise UserError(f"the {what} are of other units than the recordings; run `dvc repro`")

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
    """Row of the unit that `text` names; UserError with the nearest recorded ones otherwise.

    `L5.N131` is the name; `L5N131`, `5.131`, `5:131` and `5/131` are understood.
    """
    kind, called, named = recordings.kind, recordings.noun, parse_name(text)
    if named is None:
        raise UserError(f"{text!r} is not the name of a {called.one}, expected a layer and an index such as {example(recordings)}")
    if named.kind not in (None, kind):
        raise UserError(f"{text} is a {named.kind.singular}, these recordings are of {called.many} such as {example(recordings)}")
    try:
        return recordings.row(named.layer, named.index)
    except KeyError:
        near = ", ".join(nearest(recordings, named.layer, named.index)) or "none at all"
        raise UserError(
            f"{unit_name(named.layer, named.index, kind)} is not among the {len(recordings):,} recorded {called.many}, "
            f"the nearest are {near}; record.layers, record.neurons and record.units in params.yaml say which are recorded"
        ) from None


def nearest(recordings: Recordings, layer: int, index: int) -> list[str]:
    """Names of the recorded neurons next to a place: by layer, then by index."""
    distance = np.lexsort(
        (np.abs(recordings.indices.astype(np.int64) - index), np.abs(recordings.layers.astype(np.int64) - layer)),
    )
    return [recordings.name(int(row)) for row in distance[:NEAREST]]


def example(recordings: Recordings) -> str:
    """A name that exists, or one that looks like one."""
    return recordings.name(0) if len(recordings) else unit_name(5, 131, recordings.kind)
