"""Finished layers, row after row on disk, so that memory holds no more than one layer of the result."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from neurogloss.artifacts.files import npy_header
from neurogloss.artifacts.recordings import NEURONS
from neurogloss.artifacts.sparse import PARTS, Rows, SparseRows, open_rows
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
        self.sizes: dict[str, int] = {}
        """Bytes of each file that are of finished layers."""
        self.shapes: dict[str, list[int]] = {}
        """Of a row of each array."""
        kept = scratch.load("finished")
        if kept is None:
            return
        columns, progress = kept
        sizes = progress["sizes"]
        short = [name for name, size in sizes.items() if not self.path(name).exists() or self.path(name).stat().st_size < size]
        if short:
            logger.warning("%s is cut short; its layers are recorded again", self.path(short[0]))
            return
        self.columns, self.sizes, self.shapes = columns, sizes, progress["shapes"]
        self.finished, self.clipped = list(progress["layers"]), int(progress["clipped"])

    def path(self, name: str) -> Path:
        """Where an array, or a part of a sparse one, is."""
        return self.folder / f"{name}.npy"

    def add(self, layer: int, result: LayerResult) -> None:
        """Append one layer's rows."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for key in KEYS:
                rows = getattr(result, key)
                self.shapes[key] = list(rows.shape[1:])
                for name, block, total in self.files(key, rows):
                    self.append(name, block, total)
        except OSError as error:
            raise UserError(f"cannot write {self.folder}: {error.strerror or error}; free or change the disk and run again") from error
        fresh = {name: result.statistics[name].to_numpy(zero_copy_only=False) for name in result.statistics.column_names}
        self.columns = {name: np.concatenate([self.columns[name], fresh[name]]) if self.columns else fresh[name] for name in fresh}
        self.finished.append(layer)
        self.clipped += result.clipped
        progress = {"layers": self.finished, "sizes": self.sizes, "shapes": self.shapes, "clipped": self.clipped}
        self.scratch.save("finished", self.columns, progress)

    def files(self, key: str, rows: Rows) -> Iterator[tuple[str, np.ndarray, int]]:
        """Name, what to append and how long it will be in the end (of parts of a sparse array as much as is known)."""
        if not isinstance(rows, SparseRows):
            yield key, rows, self.rows
            return
        numbers = f"{key}.numbers"
        before = self.entries(numbers, rows.numbers.itemsize)
        yield f"{key}.starts", (rows.starts + before)[1 if before or f"{key}.starts" in self.sizes else 0 :], self.rows + 1
        for part in PARTS[1:]:
            yield f"{key}.{part}", getattr(rows, part), before + len(rows.numbers)

    def entries(self, name: str, itemsize: int) -> int:
        """Numbers in a file of one axis."""
        return (self.sizes[name] - len(npy_header((0,), np.dtype(np.float16)))) // itemsize if name in self.sizes else 0

    def append(self, name: str, block: np.ndarray, total: int) -> None:
        """Write after the last finished layer, over what a killed run may have left there. The header says the length, as it is known."""
        with self.path(name).open("r+b" if name in self.sizes else "wb") as file:
            file.write(npy_header((total, *block.shape[1:]), block.dtype))  # Always of one size.
            if name in self.sizes:
                file.truncate(self.sizes[name])
                file.seek(0, os.SEEK_END)
            file.write(np.ascontiguousarray(block).data)
            self.sizes[name] = file.tell()

    def array(self, key: str) -> Rows:
        """All rows, on disk."""
        return open_rows(self.folder, key, self.shapes[key])

    def statistics(self) -> pa.Table:
        """The NEURONS columns of all rows; what is not a number is None."""
        return pa.table({field.name: pa.array(self.columns[field.name], field.type, from_pandas=True) for field in NEURONS})
