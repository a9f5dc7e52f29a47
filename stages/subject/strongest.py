"""The strongest excerpts of each neuron while excerpts stream by: exact, ties to the lower excerpt, any order of arrival.

An excerpt is held as one integer key: its largest activation (float16, in an order-preserving spelling) above its inverted number.
Keys are unique, so there are no ties left to break, and merging is the same in any order.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float16, Int, UInt16

BARRED = np.int64(-(1 << 62))
"""Key of an excerpt that may not be chosen."""
LOWEST_ID = (1 << 32) - 1
FLOAT16_MAX = 65504.0


class Replaced(NamedTuple):
    """Which places of which neurons got which key; three index arrays of one length."""

    neurons: Int[np.ndarray, " change"]
    places: Int[np.ndarray, " change"]
    sources: Int[np.ndarray, " change"]
    """Position of the key among those that arrived."""


def ordered(maxima: Float16[np.ndarray, "..."]) -> UInt16[np.ndarray, "..."]:
    """Numbers that order like the activations; zero and minus zero are equal."""
    bits = (maxima + np.float16(0)).view(np.uint16)
    return np.asarray(np.where(bits & 0x8000, ~bits, bits | 0x8000))


def keys_of(maxima: Float[np.ndarray, "..."], excerpts: Int[np.ndarray, "..."]) -> Int[np.ndarray, "..."]:
    """One integer per (largest activation, excerpt): greater for a stronger one, then for a lower excerpt.

    >>> bool(keys_of(np.float16(1.5), np.int64(7)) > keys_of(np.float16(1.5), np.int64(8)) > keys_of(np.float16(-2), np.int64(0)))
    True
    """
    return np.asarray(ordered(np.asarray(maxima, np.float16)).astype(np.int64) << 32 | (LOWEST_ID - np.asarray(excerpts, np.int64)))


def excerpts_of(keys: Int[np.ndarray, "..."]) -> Int[np.ndarray, "..."]:
    """The excerpt of each key."""
    return LOWEST_ID - (keys & LOWEST_ID)


def no_keys(neurons: int, top: int) -> Int[np.ndarray, "neuron top"]:
    """Keys below every real one, each different."""
    return np.tile(-1 - np.arange(top, dtype=np.int64), (neurons, 1))


def candidates(held: Int[np.ndarray, "neuron top"], maxima: Float16[np.ndarray, "excerpt neuron"]) -> Bool[np.ndarray, "excerpt neuron"]:
    """Which excerpts may be stronger than the weakest one held; all of them where a neuron still has free places."""
    return np.asarray(ordered(maxima) >= (held.min(axis=1) >> 32))


def merge(held: Int[np.ndarray, "neuron top"], neurons: Int[np.ndarray, " pair"], keys: Int[np.ndarray, " pair"]) -> Replaced:
    """Put keys (ascending by neuron) into `held` (changed in place, in no order) where they beat what is there."""
    rows, starts, counts = np.unique(neurons, return_index=True, return_counts=True)
    column = np.arange(len(keys)) - np.repeat(starts, counts)
    fresh = np.full((len(rows), counts.max(initial=0)), BARRED)
    fresh[np.repeat(np.arange(len(rows)), counts), column] = keys
    old, top = held[rows], held.shape[1]
    threshold = np.partition(np.concatenate([old, fresh], axis=1), -top, axis=1)[:, -top, None]
    out, came = np.nonzero(old < threshold), np.nonzero(fresh >= threshold)
    # Both lists go by rows with equally many entries in each, so they pair up.
    changed = Replaced(rows[out[0]], out[1], starts[came[0]] + came[1])
    held[changed.neurons, changed.places] = keys[changed.sources]
    return changed
