"""Simulations: the level each explanation predicts for each token of the calibrate and score excerpts.

A folder:
    simulations.json    schema, version, method, the simulated slots
    levels.npy          float16 (neuron, place, token): expected level 0..10, NaN where the status is not ok
    layers.npy, indices.npy  int32 (neuron): which neuron a row is
    status.npy          uint8 (neuron, place): code in `neurogloss.artifacts.status.CODES`

A *place* is a position in `slots`: the slots of the recordings that were simulated, in their order.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float16, Int, Int32, UInt8

from neurogloss.artifacts.files import open_array, read_json, write_json, written
from neurogloss.artifacts.status import CODES, Status

SCHEMA = "neurogloss.simulations"
VERSION = 1
OK = CODES.index(Status.OK)


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

    def __post_init__(self) -> None:
        if self.levels.shape[:2] != self.status.shape or self.levels.shape[1] != len(self.slots) or len(self.layers) != len(self.levels):
            raise ValueError(f"levels {self.levels.shape}, status {self.status.shape}, {len(self.slots)} slots, {len(self.layers)} neurons")

    def __len__(self) -> int:
        return len(self.levels)


def write_simulations(path: Path, simulations: Simulations) -> None:
    """Write the folder in one go, the header last."""
    with written(path) as folder:
        folder.mkdir()
        np.save(folder / "levels.npy", simulations.levels)
        np.save(folder / "status.npy", simulations.status)
        np.save(folder / "layers.npy", simulations.layers)
        np.save(folder / "indices.npy", simulations.indices)
        header = {"schema": SCHEMA, "version": VERSION, "method": simulations.method, "slots": [int(s) for s in simulations.slots]}
        write_json(folder / "simulations.json", header)


def read_simulations(path: Path) -> Simulations:
    """Open the folder; arrays stay on disk."""
    header = read_json(path / "simulations.json", SCHEMA, VERSION)
    return Simulations(
        method=header["method"],
        layers=open_array(path / "layers.npy"),
        indices=open_array(path / "indices.npy"),
        slots=np.array(header["slots"], dtype=np.int64),
        levels=open_array(path / "levels.npy"),
        status=open_array(path / "status.npy"),
    )
