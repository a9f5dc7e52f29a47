"""Which neurons resemble a neuron: by what they fire on, by what is said of them."""

import warnings
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from neurogloss.artifacts.recordings import Recordings
from neurogloss.viewer.strongest import Strongest, pairs, strongest

EXACT = 50_000_000
"""Up to so many means the profiles are compared as they are; beyond, through a random projection."""
WIDTH = 256
"""Of the projection; the standard error of a similarity is then about 0.06."""
NEIGHBOURS = 6


def profiles(recordings: Recordings, rows: Int[np.ndarray, " row"]) -> Float[np.ndarray, "row width"]:
    """Unit vectors; their inner product is the correlation of mean activations per token, tokens weighted by how often they occur."""
    counts = recordings.table_counts.astype(np.float64)
    share = (counts / max(1.0, counts.sum())).astype(np.float32)
    entries = len(counts)
    projection = None
    if len(rows) * entries > EXACT:
        projection = np.random.default_rng(0).standard_normal((entries, WIDTH), np.float32) / np.float32(np.sqrt(WIDTH))
    parts = []
    for start in range(0, len(rows), 1024):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # float16 NaN payloads
            means = np.asarray(recordings.token_means[rows[start : start + 1024]], np.float32)
        known = np.isfinite(means)
        weight = share * known
        middle = np.divide(
            (np.where(known, means, 0) * share).sum(1), weight.sum(1), out=np.zeros(len(means), np.float32), where=weight.any(1)
        )
        vectors = np.where(known, means - middle[:, None], 0) * np.sqrt(share)
        vectors = unit(vectors)
        parts.append(vectors if projection is None else vectors @ projection)
    return np.concatenate(parts) if parts else np.zeros((0, entries), np.float32)


def unit(vectors: Float[np.ndarray, "row width"]) -> Float[np.ndarray, "row width"]:
    """Each row at length one; rows of zeros stay."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0))


def neighbours(vectors: Float[np.ndarray, "row width"], start: int, stop: int) -> Strongest:
    """The rows nearest to each of the rows from `start` to `stop`, itself left out."""
    likeness = vectors[start:stop] @ vectors.T
    likeness[np.arange(stop - start), np.arange(start, stop)] = -np.inf
    return strongest(likeness, min(NEIGHBOURS, max(0, len(vectors) - 1)))


def listed(found: Strongest, row: int, signed: bool = False) -> list[list[Any]]:
    """Pairs for a page; those of no likeness are left out."""
    return [[c, v] for c, v in pairs(found, row)[:NEIGHBOURS] if (v != 0 if signed else v > 0)]
