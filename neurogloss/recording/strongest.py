"""The strongest excerpts of each neuron while excerpts stream by: exact, ties to the lower excerpt, any order of arrival.

An excerpt is held as one integer key: its largest activation (float16, in an order-preserving spelling) above its inverted number.
Keys are unique, so there are no ties left to break, and merging is the same in any order.
"""

import numpy as np
from jaxtyping import Float, Int

from neurogloss.recording.kernels import LOWEST_ID, key

FLOAT16_MAX = 65504.0


def keys_of(maxima: Float[np.ndarray, "..."], excerpts: Int[np.ndarray, "..."]) -> Int[np.ndarray, "..."]:
    """One integer per (largest activation, excerpt): greater for a stronger one, then for a lower excerpt.

    >>> bool(keys_of(np.float16(1.5), np.int64(7)) > keys_of(np.float16(1.5), np.int64(8)) > keys_of(np.float16(-2), np.int64(0)))
    True
    """
    return np.asarray(key(np.asarray(maxima, np.float16).view(np.uint16), np.asarray(excerpts, np.int64)))


def excerpts_of(keys: Int[np.ndarray, "..."]) -> Int[np.ndarray, "..."]:
    """The excerpt of each key."""
    return LOWEST_ID - (keys & LOWEST_ID)


def no_keys(neurons: int, top: int) -> Int[np.ndarray, "neuron top"]:
    """Keys below every real one, each different."""
    return np.tile(-1 - np.arange(top, dtype=np.int64), (neurons, 1))
