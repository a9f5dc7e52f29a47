"""Simulations: the level each explanation predicts for each token of the calibrate and score excerpts, and what borrowed ones predict.

A folder:
    simulations.json    schema, version, method, the simulated slots, those of borrowed sentences, counts of how levels were read
    levels.npy          float16 (neuron, place, token): expected level 0..10, NaN where the status is not ok
    layers.npy, indices.npy  int32 (neuron): which neuron a row is
    status.npy          uint8 (neuron, place): code in `neurogloss.artifacts.status.CODES`
    borrowed/           the control: other neurons' sentences on a neuron's own score excerpts
        rows.npy        int32 (control): row of the neuron, ascending
        lenders.npy     int32 (control, draw): row of the neuron whose sentence it is, -1 where there is none
        levels.npy      float16 (control, draw, place, token)
        status.npy      uint8 (control, draw, place)
    senses/             where explanations have several senses, whose levels above are the highest of any of theirs
        rows.npy        int32 (sense): row of the neuron, ascending; the senses of a neuron in their order
        levels.npy      float16 (sense, place, token): what the sense predicts by itself
        status.npy      uint8 (sense, place)
        single_levels.npy  float16 (neuron with senses, single place, token): what the one sentence predicts that they replaced
        single_status.npy  uint8 (neuron with senses, single place)

A *place* is a position in `slots`: the slots of the recordings that were simulated, in their order.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float16, Int, Int32, UInt8

from neurogloss.artifacts.files import open_array, read_json, understood, write_json, written
from neurogloss.artifacts.status import CODES, Status

SCHEMA = "neurogloss.simulations"
VERSION = 2
OK = CODES.index(Status.OK)
SENSE_ARRAYS = ("rows", "levels", "status", "single_levels", "single_status")
NOBODY = -1
"""In place of a lender where there is none."""


@dataclass(frozen=True)
class Borrowed:
    """What other neurons' sentences predict on the score excerpts of some neurons: a sentence for another neuron should do worse."""

    rows: Int32[np.ndarray, " control"]
    """Rows of the neurons whose excerpts these are, ascending."""
    lenders: Int32[np.ndarray, "control draw"]
    """Rows of the neurons whose sentences these are; NOBODY where there are fewer."""
    slots: Int[np.ndarray, " place"]
    levels: Float16[np.ndarray, "control draw place token"]
    status: UInt8[np.ndarray, "control draw place"]
    written: int = 0
    """Sentences read by the levels as written because some answers lacked the log-probabilities that were asked for."""

    def __post_init__(self) -> None:
        shape = (*self.lenders.shape, len(self.slots))
        if self.levels.shape[:3] != shape or self.status.shape != shape or len(self.rows) != len(self.lenders):
            raise ValueError(f"levels {self.levels.shape}, status {self.status.shape}, lenders {self.lenders.shape}, {len(self.rows)} rows")

    def __len__(self) -> int:
        return len(self.rows)


def nothing_borrowed() -> Borrowed:
    """No neuron has a control."""
    return Borrowed(
        np.empty(0, np.int32),
        np.empty((0, 0), np.int32),
        np.empty(0, np.int64),
        np.empty((0, 0, 0, 0), np.float16),
        np.empty((0, 0, 0), np.uint8),
    )


@dataclass(frozen=True)
class SenseSimulations:
    """What each sense predicts by itself, and what the one sentence predicts that the senses replaced."""

    rows: Int32[np.ndarray, " sense"]
    """Rows of the neurons, ascending; the senses of a neuron in their order."""
    levels: Float16[np.ndarray, "sense place token"]
    status: UInt8[np.ndarray, "sense place"]
    single_slots: Int[np.ndarray, " single_place"]
    """The score split."""
    single_levels: Float16[np.ndarray, "neuron single_place token"]
    """Of the neurons in `rows`, each once."""
    single_status: UInt8[np.ndarray, "neuron single_place"]

    def __post_init__(self) -> None:
        several = len(np.unique(self.rows))
        if not len(self.rows) == len(self.levels) == len(self.status) or not several == len(self.single_levels) == len(self.single_status):
            raise ValueError(f"{len(self.rows)} senses of {several} neurons, levels {self.levels.shape}, single {self.single_levels.shape}")

    def of(self, row: int) -> Int[np.ndarray, " sense"]:
        """Where the senses of a neuron stand; nowhere for a neuron with one sentence."""
        return np.arange(*np.searchsorted(self.rows, [row, row + 1]))

    def strongest(self, row: int, place: int, token: int) -> int | None:
        """Which of the neuron's senses predicts most of a token, the first of equal ones; None where none predicts anything."""
        levels = np.nan_to_num(np.asarray(self.levels[self.of(row), place, token], np.float32))
        return int(levels.argmax()) if levels.max(initial=0) > 0 else None


@dataclass(frozen=True)
class Simulations:
    """Expected levels of many neurons, in the order of the recordings."""

    method: str
    layers: Int32[np.ndarray, " neuron"]
    indices: Int32[np.ndarray, " neuron"]
    slots: Int[np.ndarray, " place"]
    """Slots of the recordings that were simulated."""
    levels: Float16[np.ndarray, "neuron place token"]
    status: UInt8[np.ndarray, "neuron place"]
    borrowed: Borrowed = field(default_factory=nothing_borrowed)
    written: int = 0
    """Neurons read by the levels as written because some answers lacked the log-probabilities that were asked for."""
    senses: SenseSimulations | None = None
    """None where no explanation has several senses."""

    def __post_init__(self) -> None:
        if self.levels.shape[:2] != self.status.shape or self.levels.shape[1] != len(self.slots) or len(self.layers) != len(self.levels):
            raise ValueError(f"levels {self.levels.shape}, status {self.status.shape}, {len(self.slots)} slots, {len(self.layers)} neurons")

    def __len__(self) -> int:
        return len(self.levels)


def write_simulations(path: Path, simulations: Simulations) -> None:
    """Write the folder in one go, the header last."""
    borrowed = simulations.borrowed
    with written(path) as folder:
        (folder / "borrowed").mkdir(parents=True)
        for name in ("levels", "status", "layers", "indices"):
            np.save(folder / f"{name}.npy", getattr(simulations, name))
        for name in ("rows", "lenders", "levels", "status"):
            np.save(folder / "borrowed" / f"{name}.npy", getattr(borrowed, name))
        header = {
            "schema": SCHEMA,
            "version": VERSION,
            "method": simulations.method,
            "slots": [int(s) for s in simulations.slots],
            "borrowed_slots": [int(s) for s in borrowed.slots],
            "written": simulations.written,
            "borrowed_written": borrowed.written,
        }
        if simulations.senses is not None:
            (folder / "senses").mkdir()
            for name in SENSE_ARRAYS:
                np.save(folder / "senses" / f"{name}.npy", getattr(simulations.senses, name))
            header["single_slots"] = [int(s) for s in simulations.senses.single_slots]
        write_json(folder / "simulations.json", header)


def read_simulations(path: Path) -> Simulations:
    """Open the folder; arrays stay on disk. UserError where a part is missing or damaged."""
    with understood(path):
        return parts(path, read_json(path / "simulations.json", SCHEMA, VERSION))


def parts(path: Path, header: dict[str, Any]) -> Simulations:
    """What the files of the folder hold."""
    borrowed = path / "borrowed"
    return Simulations(
        method=header["method"],
        layers=open_array(path / "layers.npy"),
        indices=open_array(path / "indices.npy"),
        slots=np.array(header["slots"], dtype=np.int64),
        levels=open_array(path / "levels.npy"),
        status=open_array(path / "status.npy"),
        borrowed=Borrowed(
            rows=open_array(borrowed / "rows.npy"),
            lenders=open_array(borrowed / "lenders.npy"),
            slots=np.array(header["borrowed_slots"], dtype=np.int64),
            levels=open_array(borrowed / "levels.npy"),
            status=open_array(borrowed / "status.npy"),
            written=int(header["borrowed_written"]),
        ),
        written=int(header["written"]),
        senses=sense_parts(path / "senses", header["single_slots"]) if "single_slots" in header else None,
    )


def sense_parts(path: Path, single_slots: list[int]) -> SenseSimulations:
    """What the folder of the senses holds."""
    return SenseSimulations(
        **{name: open_array(path / f"{name}.npy") for name in SENSE_ARRAYS}, single_slots=np.array(single_slots, np.int64)
    )
