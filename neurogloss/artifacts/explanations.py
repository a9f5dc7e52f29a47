"""Explanations: one sentence per neuron, or several with shares, or the reason why there is none.

A Parquet file, sorted by layer and neuron. The last two columns are there where an explanation has several senses.
"""

from collections.abc import Sequence
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
SENSES = pa.schema(
    [
        pa.field("senses", pa.list_(pa.struct([("text", pa.string()), ("share", pa.float64())])), nullable=False),  # none, or several
        pa.field("single", pa.string()),  # the one sentence that the senses replaced
    ]
)
JOINT = "; or: "
"""Stands between the senses in the text of an explanation."""
ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Sense:
    """One of several things on which a unit fires."""

    text: str
    share: float
    """Of the unit's firing on the explain split, 0..1: its part of the excerpts' strongest activations."""


def whole(senses: Sequence[Sense]) -> str:
    """Several senses as one text.

    >>> whole([Sense("boats", 0.6), Sense("the word \\"of\\"", 0.4)])
    'boats; or: the word "of"'
    """
    return JOINT.join(sense.text for sense in senses)


@dataclass(frozen=True, slots=True)
class Explanation:
    """The sentence kept for one neuron, and what it was chosen from."""

    layer: int
    neuron: int
    kept: Candidate
    """With several senses its text is the whole of them."""
    candidates: tuple[Candidate, ...] = ()
    senses: tuple[Sense, ...] = ()
    """Of an explanation of several, at least two; the one with the largest share first."""
    single: str | None = None
    """The one sentence that the senses replaced."""

    def __post_init__(self) -> None:
        if not self.senses and self.single is None:
            return
        shares = [sense.share for sense in self.senses]
        if len(shares) < 2 or min(shares) <= 0 or sum(shares) > 1 + ROUNDING or self.kept.text != whole(self.senses) or self.single is None:
            raise ValueError(f"senses with shares {shares} of {self.kept.text!r}, in place of {self.single!r}")


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
    def sentences(self) -> list[tuple[str | None, ...]]:
        """What is simulated of each neuron: its senses where there are several, else its one sentence."""
        return [tuple(sense.text for sense in row.senses) or (row.kept.text,) for row in self.rows]

    @property
    def senses(self) -> dict[str, tuple[str | None, ...]]:
        """The senses of each explanation that has several, by its text."""
        return {text: several for text, several in zip(self.texts, self.sentences, strict=True) if text is not None and len(several) > 1}

    @property
    def singles(self) -> dict[int, str]:
        """By row the one sentence that several senses replaced."""
        return {place: row.single for place, row in enumerate(self.rows) if row.single is not None}

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
    several = any(row.senses for row in found.rows)
    columns = {
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
    if several:
        columns["senses"] = pa.array(
            [[{"text": sense.text, "share": sense.share} for sense in row.senses] for row in found.rows], SENSES.field("senses").type
        )
        columns["single"] = pa.array([row.single for row in found.rows], pa.string())
    write_table(path, pa.table(columns), pa.schema([*EXPLANATIONS, *(SENSES if several else ())]), SCHEMA, VERSION)


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
                    tuple(Sense(sense["text"], sense["share"]) for sense in row.get("senses", ())),
                    row.get("single"),
                )
                for row in table.to_pylist()
            ]
        )
