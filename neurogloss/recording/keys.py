"""Of heads: what each reads at the strongest token of each of its excerpts."""

import logging
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor
from tqdm import tqdm

from neurogloss.artifacts.recordings import Keys, Recordings
from neurogloss.recording.layers import BATCH_TOKENS
from neurogloss.recording.strongest import FLOAT16_MAX
from neurogloss.subject.attention import pair_norms
from neurogloss.subject.heads import Heads
from neurogloss.subject.model import Subject

logger = logging.getLogger(__name__)
KEPT = 3
"""Keys of a query."""


class Asked(NamedTuple):
    """Where the excerpts of a batch stand in the recordings: a head's row, its slot, and the excerpt's place in the batch."""

    rows: Int[np.ndarray, " pair"]
    slots: Int[np.ndarray, " pair"]
    excerpts: Int[np.ndarray, " pair"]


def with_keys(found: Recordings, subject: Subject) -> Recordings:
    """The recordings with the keys of the strongest query of each excerpt: another pass over the excerpts that are kept of any head."""
    units = {int(layer): one for layer in np.unique(found.layers) if isinstance(one := subject.units[layer], Heads)}
    excerpts = np.asarray(found.excerpts)
    queries = np.asarray(found.activations).argmax(axis=2)
    shape = (*excerpts.shape, min(KEPT, found.corpus.shape[1]))
    places, norms = np.zeros(shape, np.int16), np.zeros(shape, np.float16)
    rows, slots = np.nonzero(np.ones(excerpts.shape, np.bool_))
    order = np.argsort(excerpts.ravel(), kind="stable")
    of = excerpts.ravel()[order]
    needed = np.unique(of)
    size = max(1, BATCH_TOKENS // found.corpus.shape[1] // 4)
    for start in tqdm(range(0, len(needed), size), desc="record keys", unit=" batches"):
        batch = needed[start : start + size]
        low, high = np.searchsorted(of, [batch[0], batch[-1] + 1])
        asked = Asked(rows[order[low:high]], slots[order[low:high]], np.searchsorted(batch, of[low:high]))

        def take(layer: int, pairs: Tensor, asked: Asked = asked) -> None:
            here = np.flatnonzero(found.layers[asked.rows] == layer)
            row, slot = asked.rows[here], asked.slots[here]
            at = (torch.from_numpy(part.astype(np.int64)) for part in (asked.excerpts[here], found.indices[row], queries[row, slot]))
            read = pairs.cpu()[tuple(at)]  # (head and excerpt, key)
            best = read.topk(shape[2], dim=1)
            places[row, slot] = best.indices.numpy()
            norms[row, slot] = best.values.clamp_max(FLOAT16_MAX).numpy()

        pair_norms(subject, units, torch.from_numpy(found.corpus[batch].astype(np.int64)), take)
    return replace(found, keys=Keys(places, norms))
