"""Arrays that are mostly zero, row by row on disk: they take the room of what is not, and give dense rows when indexed.

Three files: NAME.starts.npy int64 (row + 1), NAME.places.npy (entry): where in the row, ravelled, ascending; NAME.numbers.npy (entry).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float16, Int, Int64, UInt

from neurogloss.artifacts.files import open_array, write_array

PARTS = ("starts", "places", "numbers")


@dataclass(frozen=True, eq=False)
class SparseRows:
    """Looks like a float16 array of a shape when it is indexed by rows first; `numpy.asarray` makes it dense."""

    shape: tuple[int, ...]
    starts: Int64[np.ndarray, " border"]
    places: UInt[np.ndarray, " entry"]
    numbers: Float16[np.ndarray, " entry"]

    dtype = np.dtype(np.float16)

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self.dense(np.arange(len(self))), dtype)

    def __getitem__(self, at: Any) -> np.ndarray:
        """What a dense array would give, rows made dense that are asked for and no others."""
        first, *rest = at if isinstance(at, tuple) else (at,)
        if isinstance(first, int | np.integer):
            return np.asarray(self.dense(np.array([first]))[0][tuple(rest)])
        if isinstance(first, slice):
            return np.asarray(self.dense(np.arange(len(self))[first])[(slice(None), *rest)])
        rows = np.flatnonzero(first) if np.asarray(first).dtype == np.bool_ else np.asarray(first, np.int64)
        known, places = np.unique(rows, return_inverse=True)
        return np.asarray(self.dense(known)[(places.reshape(rows.shape), *rest)])

    def dense(self, rows: Int[np.ndarray, " row"]) -> Float16[np.ndarray, "row ..."]:
        """These rows as a dense array; a negative row counts from the end."""
        size = int(np.prod(self.shape[1:]))
        found = np.zeros((len(rows), size), np.float16)
        for row, source in enumerate(rows):
            part = slice(self.starts[source % len(self)], self.starts[source % len(self) + 1])
            found[row, self.places[part]] = self.numbers[part]
        return found.reshape(len(rows), *self.shape[1:])


Rows = np.ndarray | SparseRows
"""A dense array or one that is mostly zero."""


def rows_from(shape: tuple[int, ...], rows: np.ndarray, places: np.ndarray, numbers: np.ndarray) -> SparseRows:
    """From entries sorted by row and place; zeros are left out, NaN is not."""
    kept = numbers != 0
    starts = np.searchsorted(rows[kept], np.arange(shape[0] + 1))
    return SparseRows(shape, starts.astype(np.int64), places[kept].astype(place_type(shape)), numbers[kept].astype(np.float16))


def place_type(shape: tuple[int, ...]) -> np.dtype:
    """Holds every place in a row."""
    return np.min_scalar_type(max(1, int(np.prod(shape[1:])) - 1))


def write_rows(folder: Path, name: str, rows: Rows) -> None:
    """Write it, block by block."""
    if isinstance(rows, SparseRows):
        for part in PARTS:
            write_array(folder / f"{name}.{part}.npy", getattr(rows, part), rows=1 << 20)
    else:
        write_array(folder / f"{name}.npy", rows)


def open_rows(folder: Path, name: str, shape: Iterable[int]) -> Rows:
    """Open it for reading; it stays on disk. `shape` is that of one row, which a sparse one does not know."""
    if not (folder / f"{name}.starts.npy").exists():
        return open_array(folder / f"{name}.npy")
    parts = {part: open_array(folder / f"{name}.{part}.npy") for part in PARTS}
    return SparseRows((len(parts["starts"]) - 1, *shape), **parts)
