"""Finished layers, row after row on disk, so that memory holds no more than one layer of the result."""

import logging
import os
from pathlib import Path

import numpy as np
import pyarrow as pa

from neurogloss.artifacts.files import npy_header, open_array
from neurogloss.artifacts.recordings import NEURONS
from neurogloss.errors import UserError
from neurogloss.recording.checkpoint import Scratch
from neurogloss.recording.finish import LayerResult

logger = logging.getLogger(__name__)
KEYS = ("excerpts", "activations", "token_means")


class Assembly:
    """Arrays that grow by one layer at a time, in ascending order of layers; survives a kill."""

    def __init__(self, scratch: Scratch, rows: int) -> None:
        self.scratch, self.rows = scratch, rows
        self.folder = scratch.folder
        self.finished: list[int] = []
        self.columns: dict[str, np.ndarray] = {}
        self.clipped = 0
        """Activations beyond float16 that were cut to it."""
        self.sizes = dict.fromkeys(KEYS, 0)
        kept = scratch.load("finished")
        if kept is None:
            return
        columns, progress = kept
        short = [key for key in KEYS if not self.path(key).exists() or self.path(key).stat().st_size < progress["sizes"][key]]
        if short:
            logger.warning("%s is cut short; its layers are recorded again", self.path(short[0]))
            return
        self.columns, self.sizes = columns, progress["sizes"]
        self.finished, self.clipped = list(progress["layers"]), int(progress["clipped"])

    def path(self, key: str) -> Path:
        """Where an array is."""
        return self.folder / f"{key}.npy"

    def add(self, layer: int, result: LayerResult) -> None:
        """Append one layer's rows."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for key in KEYS:
                self.append(key, getattr(result, key))
        except OSError as error:
            raise UserError(f"cannot write {self.folder}: {error.strerror or error}; free or change the disk and run again") from error
        fresh = {name: result.statistics[name].to_numpy(zero_copy_only=False) for name in result.statistics.column_names}
        self.columns = {name: np.concatenate([self.columns[name], fresh[name]]) if self.columns else fresh[name] for name in fresh}
        self.finished.append(layer)
        self.clipped += result.clipped
        self.scratch.save("finished", self.columns, {"layers": self.finished, "sizes": self.sizes, "clipped": self.clipped})

    def append(self, key: str, block: np.ndarray) -> None:
        """Write rows after the last finished ones, over what a killed run may have left there."""
        with self.path(key).open("r+b" if self.sizes[key] else "wb") as file:
            if not self.sizes[key]:
                file.write(npy_header((self.rows, *block.shape[1:]), block.dtype))
            else:
                file.truncate(self.sizes[key])
                file.seek(0, os.SEEK_END)
            file.write(np.ascontiguousarray(block).data)
            self.sizes[key] = file.tell()

    def array(self, key: str) -> np.ndarray:
        """All rows, on disk."""
        return open_array(self.path(key))

    def statistics(self) -> pa.Table:
        """The NEURONS columns of all rows; what is not a number is None."""
        return pa.table({field.name: pa.array(self.columns[field.name], field.type, from_pandas=True) for field in NEURONS})
