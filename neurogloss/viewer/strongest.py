"""The strongest of many: exact, and much cheaper than sorting."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

GROUP = 128


class Strongest(NamedTuple):
    """The largest values of each row, largest first."""

    columns: Int[np.ndarray, "row kept"]
    values: Float[np.ndarray, "row kept"]


def strongest(values: Float[np.ndarray, "row column"], count: int) -> Strongest:
    """The `count` largest of each row; ties go to the first column. Fewer where there are fewer columns.

    A group of columns that holds one of the largest is among the `count` groups with the largest maxima, so only those are looked into.
    """
    rows, width = values.shape
    count = min(count, width)
    if not count or not rows:
        return Strongest(np.zeros((rows, count), np.int64), np.zeros((rows, count), values.dtype))
    columns = np.broadcast_to(np.arange(width), values.shape)
    whole = width // GROUP
    if whole > 2 * count:
        groups = largest(values[:, : whole * GROUP].reshape(rows, whole, GROUP).max(axis=2), count)
        inside = (groups[:, :, None] * GROUP + np.arange(GROUP)).reshape(rows, -1)
        rest = np.broadcast_to(np.arange(whole * GROUP, width), (rows, width - whole * GROUP))
        columns = np.concatenate([inside, rest], axis=1)
    found = np.take_along_axis(values, columns, axis=1)
    kept = largest(found, count)
    columns, found = np.take_along_axis(columns, kept, axis=1), np.take_along_axis(found, kept, axis=1)
    order = np.argsort(-found, axis=1, kind="stable")
    return Strongest(np.take_along_axis(columns, order, axis=1), np.take_along_axis(found, order, axis=1))


def largest(values: Float[np.ndarray, "row column"], count: int) -> Int[np.ndarray, "row kept"]:
    """Columns of the `count` largest of each row, ascending; of equal ones the first."""
    least = np.partition(values, -count, axis=1)[:, -count, None]
    above, level = values > least, values == least
    kept = above | (level & (level.cumsum(axis=1) <= count - above.sum(axis=1, keepdims=True)))
    return np.asarray(np.nonzero(kept)[1].reshape(len(values), count))


def pairs(found: Strongest, row: int) -> list[tuple[int, float]]:
    """Column and value of a row, values to three digits."""
    return [(int(c), float(f"{v:.3g}")) for c, v in zip(found.columns[row], found.values[row], strict=True)]
