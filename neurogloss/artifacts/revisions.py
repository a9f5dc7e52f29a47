"""Revisions: what each round of refine asked, read and decided. A Parquet file, sorted by layer, neuron and round."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from neurogloss.artifacts.candidates import Candidate
from neurogloss.artifacts.files import read_table, write_table
from neurogloss.artifacts.status import Status

SCHEMA = "neurogloss.revisions"
VERSION = 1

EVIDENCE = pa.struct(
    [
        ("pieces", pa.list_(pa.binary())),
        ("activations", pa.list_(pa.float32())),
        ("expected", pa.bool_()),  # whether the old explanation says that the unit fires; None for random excerpts
        ("fired", pa.bool_()),
        ("shown", pa.bool_()),  # to the explainer; a sentence that was not is of the kind `generated`
    ]
)
REVISIONS = pa.schema(
    [
        pa.field("layer", pa.int32(), nullable=False),
        pa.field("neuron", pa.int32(), nullable=False),
        pa.field("round", pa.int32(), nullable=False),  # from 1
        pa.field("method", pa.string(), nullable=False),
        pa.field("before", pa.string(), nullable=False),
        pa.field("after", pa.string()),  # None where the explainer failed
        pa.field("status", pa.string(), nullable=False),  # of the explainer's answer
        pa.field("select_before", pa.float64()),
        pa.field("select_after", pa.float64()),
        pa.field("kept", pa.bool_(), nullable=False),  # whether the new explanation replaced the old one
        pa.field("generated_before", pa.float64()),  # score on the held-out sentences of this round
        pa.field("generated_after", pa.float64()),
        pa.field("evidence", pa.list_(EVIDENCE), nullable=False),
    ]
)


@dataclass(frozen=True, slots=True)
class Evidence:
    """A sentence or an excerpt with what the unit did on it."""

    pieces: tuple[bytes, ...]
    activations: tuple[float, ...]
    expected: bool | None
    """Whether the old explanation says that the unit fires; None for random excerpts."""
    fired: bool
    shown: bool
    """To the explainer."""

    def __post_init__(self) -> None:
        if len(self.pieces) != len(self.activations):
            raise ValueError(f"{len(self.pieces)} pieces but {len(self.activations)} activations")

    @property
    def held_out(self) -> bool:
        """Whether it is a proposed sentence that the explainer was not shown: of the kind `generated`."""
        return not self.shown


@dataclass(frozen=True, slots=True)
class Revision:
    """One round for one unit."""

    layer: int
    neuron: int
    round: int
    method: str
    before: str
    after: Candidate
    """With its score on the select split."""
    select_before: float | None
    kept: bool
    evidence: tuple[Evidence, ...]
    generated_before: float | None = None
    generated_after: float | None = None


def write_revisions(path: Path, revisions: list[Revision]) -> None:
    """Write the table, sorted."""
    ordered = sorted(revisions, key=lambda one: (one.layer, one.neuron, one.round))
    rows = [
        {
            **{name: getattr(one, name) for name in REVISIONS.names if hasattr(one, name)},
            "after": one.after.text,
            "status": str(one.after.status),
            "select_after": one.after.select_score,
            "evidence": [{name: getattr(shown, name) for name in EVIDENCE.names} for shown in one.evidence],
        }
        for one in ordered
    ]
    write_table(path, pa.Table.from_pylist(rows, REVISIONS), REVISIONS, SCHEMA, VERSION)


def read_revisions(path: Path) -> list[Revision]:
    """Read the table."""
    return [
        Revision(
            **{name: row[name] for name in REVISIONS.names if name not in ("after", "status", "select_after", "evidence")},
            after=Candidate(row["after"], Status(row["status"]), row["select_after"]),
            evidence=tuple(Evidence(**one | {name: tuple(one[name]) for name in ("pieces", "activations")}) for one in row["evidence"]),
        )
        for row in read_table(path, SCHEMA, VERSION).to_pylist()
    ]
