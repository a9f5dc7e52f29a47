"""Explanations: one sentence per neuron, or the reason why there is none. A Parquet file, sorted by layer and neuron."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Int

from neurogloss.artifacts.candidates import Candidate
from neurogloss.artifacts.files import read_table, understood, write_table
from neurogloss.artifacts.status import Status

SCHEMA = "neurogloss.explanations"
VERSION = 1

EXPLANATIONS = pa.schema(
    [
        pa.field("layer", pa.int32(), nullable=False),
        pa.field("neuron", pa.int32(), nullable=False),
        pa.field("status", pa.string(), nullable=False),
        pa.field("text", pa.string()),
        pa.field("select_score", pa.float64()),  # what the choice among candidates went by; None where there was no choice
        pa.field(
            "candidates",
            pa.list_(pa.struct([("text", pa.string()), ("status", pa.string()), ("select_score", pa.float64())])),
            nullable=False,
        ),
    ]
)


@dataclass(frozen=True, slots=True)
class Explanation:
    """The sentence kept for one neuron, and what it was chosen from."""

    layer: int
    neuron: int
    kept: Candidate
    candidates: tuple[Candidate, ...] = ()


@dataclass(frozen=True)
class Explanations:
    """One row per recorded neuron, in the order of the recordings."""

    layers: Int[np.ndarray, " neuron"]
    indices: Int[np.ndarray, " neuron"]
    rows: list[Explanation]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def texts(self) -> list[str | None]:
        """The kept sentence of each neuron, None where there is none."""
        return [row.kept.text for row in self.rows]

    @property
    def statuses(self) -> list[Status]:
        """The status of each neuron."""
        return [row.kept.status for row in self.rows]


def explanations(rows: list[Explanation]) -> Explanations:
    """Gather rows; raises ValueError unless sorted by layer and neuron without a repeat."""
    keys = [(row.layer, row.neuron) for row in rows]
    if keys != sorted(set(keys)):
        raise ValueError("explanations must be sorted by layer and neuron, each neuron once")
    return Explanations(np.array([k[0] for k in keys], np.int32), np.array([k[1] for k in keys], np.int32), rows)


def write_explanations(path: Path, found: Explanations) -> None:
    """Write the table."""
    table = pa.table(
        {
            "layer": pa.array(found.layers, pa.int32()),
            "neuron": pa.array(found.indices, pa.int32()),
            "status": pa.array([str(s) for s in found.statuses], pa.string()),
            "text": pa.array(found.texts, pa.string()),
            "select_score": pa.array([row.kept.select_score for row in found.rows], pa.float64()),
            "candidates": pa.array(
                [[{"text": c.text, "status": str(c.status), "select_score": c.select_score} for c in row.candidates] for row in found.rows],
                EXPLANATIONS.field("candidates").type,
            ),
        }
    )
    write_table(path, table, EXPLANATIONS, SCHEMA, VERSION)


def read_explanations(path: Path) -> Explanations:
    """Read the table."""
    table = read_table(path, SCHEMA, VERSION)
    with understood(path):
        return explanations(
            [
                Explanation(
                    row["layer"],
                    row["neuron"],
                    Candidate(row["text"], Status(row["status"]), row["select_score"]),
                    tuple(Candidate(c["text"], Status(c["status"]), c["select_score"]) for c in row["candidates"]),
                )
                for row in table.to_pylist()
            ]
        )
