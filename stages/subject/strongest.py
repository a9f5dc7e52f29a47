"""The strongest excerpts of each neuron while excerpts stream by: exact, ties to the lower excerpt, any order of arrival.

An excerpt is held as one integer key: its largest activation (float16, in an order-preserving spelling) above its inverted number.
Keys are unique, so there are no ties left to break, and merging is the same in any order.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

BARRED = np.int64(-(1 << 62))
"""Key of an excerpt that may not be chosen."""
LOWEST_ID = (1 << 32) - 1
FLOAT16_MAX = 65504.0


class Replaced(NamedTuple):
    """Which places of which neurons got which excerpt of the batch; three index arrays of one length."""

    neurons: Int[np.ndarray, " change"]
    places: Int[np.ndarray, " change"]
    arrived: Int[np.ndarray, " change"]


def keys_of(maxima: Float[np.ndarray, "..."], excerpts: Int[np.ndarray, "..."]) -> Int[np.ndarray, "..."]:
    """One integer per (largest activation, excerpt): greater for a stronger one, then for a lower excerpt.

    >>> bool(keys_of(np.float16(1.5), np.int64(7)) > keys_of(np.float16(1.5), np.int64(8)) > keys_of(np.float16(-2), np.int64(0)))
    True
    """
    bits = (np.asarray(maxima, np.float16) + np.float16(0)).view(np.uint16).astype(np.int64)  # -0 becomes 0
    ordered = np.where(bits & 0x8000, 0xFFFF - bits, bits | 0x8000)
    return np.asarray(ordered << 32 | (LOWEST_ID - np.asarray(excerpts, np.int64)), np.int64)


def excerpts_of(keys: Int[np.ndarray, "..."]) -> Int[np.ndarray, "..."]:
    """The excerpt of each key."""
    return LOWEST_ID - (keys & LOWEST_ID)


def no_keys(neurons: int, top: int) -> Int[np.ndarray, "neuron top"]:
    """Keys below every real one, each different."""
    return np.tile(-1 - np.arange(top, dtype=np.int64), (neurons, 1))


def merge(held: Int[np.ndarray, "neuron top"], arrived: Int[np.ndarray, "neuron excerpt"]) -> Replaced:
    """Keep in `held` (changed in place, in no order) the largest keys of both; say what was replaced by what."""
    top = held.shape[1]
    rows = np.flatnonzero(arrived.max(axis=1) > held.min(axis=1))
    old, fresh = held[rows], arrived[rows]
    both = np.concatenate([old, fresh], axis=1)
    threshold = np.partition(both, -top, axis=1)[:, -top, None]
    out, came = np.nonzero(old < threshold), np.nonzero(fresh >= threshold)
    # Both lists go by rows with equally many entries in each, so they pair up.
    changed = Replaced(rows[out[0]], out[1], came[1])
    held[changed.neurons, changed.places] = fresh[came]
    return changed
