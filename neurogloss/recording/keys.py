"""Of heads: what each reads at the strongest token of each of its excerpts."""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from neurogloss.artifacts.recordings import Keys, Recordings
from neurogloss.recording.strongest import FLOAT16_MAX
from neurogloss.subject.attention import visit_pairs
from neurogloss.subject.model import Subject

KEPT = 3
"""Keys of a query."""


def with_keys(found: Recordings, subject: Subject) -> Recordings:
    """The recordings with the keys of the strongest query of each excerpt: another pass over the excerpts that are kept of any head."""
    excerpts = np.asarray(found.excerpts)
    queries = np.asarray(found.activations).argmax(axis=2)
    shape = (*excerpts.shape, min(KEPT, found.corpus.shape[1]))
    places, norms = np.zeros(shape, np.int16), np.zeros(shape, np.float16)

    def take(rows: Int[np.ndarray, " pair"], slots: Int[np.ndarray, " pair"], pairs: Tensor) -> None:
        best = pairs[torch.arange(len(rows)), torch.from_numpy(queries[rows, slots])].topk(shape[2], dim=1)
        places[rows, slots] = best.indices.numpy()
        norms[rows, slots] = best.values.clamp_max(FLOAT16_MAX).numpy()

    visit_pairs(subject, found.corpus, found.layers, found.indices, excerpts, take)
    return replace(found, keys=Keys(places, norms))
