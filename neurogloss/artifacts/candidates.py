"""Candidates: what an explainer proposed for each neuron, before one is chosen. A Parquet file, sorted by layer and neuron."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Int

from neurogloss.artifacts.files import read_table, understood, write_table
from neurogloss.artifacts.status import Status

SCHEMA = "neurogloss.candidates"
VERSION = 1

CANDIDATES = pa.schema(
    [
        pa.field("layer", pa.int32(), nullable=False),
        pa.field("neuron", pa.int32(), nullable=False),
        pa.field("candidates", pa.list_(pa.struct([("text", pa.string()), ("status", pa.string())])), nullable=False),
    ]
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One answer of an explainer."""

    text: str | None
    status: Status
    select_score: float | None = None
    """Correlation on the select split, where candidates were compared."""

    def __post_init__(self) -> None:
        if (self.status is Status.OK) != (self.text is not None):
            raise ValueError(f"a candidate has a text if and only if its status is ok, got {self.status} with {self.text!r}")


@dataclass(frozen=True)
class Candidates:
    """The candidates of each recorded neuron, in the order of the recordings."""

    layers: Int[np.ndarray, " neuron"]
    indices: Int[np.ndarray, " neuron"]
    rows: list[tuple[Candidate, ...]]
    """At least one for each neuron, be it a failure; in the order in which the explainer gave them."""

    def __post_init__(self) -> None:
        if not (len(self.layers) == len(self.indices) == len(self.rows)) or not all(self.rows):
            raise ValueError(f"{len(self.layers)} layers, {len(self.indices)} indices, {len(self.rows)} rows; each needs a candidate")

    def __len__(self) -> int:
        return len(self.rows)


def write_candidates(path: Path, found: Candidates) -> None:
    """Write the table; a choice, if there was one, is not written."""
    table = pa.table(
        {
            "layer": pa.array(found.layers, pa.int32()),
            "neuron": pa.array(found.indices, pa.int32()),
            "candidates": pa.array(
                [[{"text": one.text, "status": str(one.status)} for one in row] for row in found.rows], CANDIDATES.field("candidates").type
            ),
        }
    )
    write_table(path, table, CANDIDATES, SCHEMA, VERSION)


def read_candidates(path: Path) -> Candidates:
    """Read the table."""
    table = read_table(path, SCHEMA, VERSION)
    with understood(path):
        rows = [tuple(Candidate(one["text"], Status(one["status"])) for one in row) for row in table["candidates"].to_pylist()]
        return Candidates(table["layer"].to_numpy(), table["neuron"].to_numpy(), rows)
