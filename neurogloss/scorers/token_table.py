"""Simulate without an explanation: a token's level is what the neuron does on that token on average (baseline)."""

import numpy as np
from jaxtyping import Float32, Int

from neurogloss.artifacts.recordings import OPEN_SPLITS, Kind, Recordings
from neurogloss.measures.levels import TOP


def token_table_levels(
    recordings: Recordings, rows: Int[np.ndarray, " neuron"], slots: Int[np.ndarray, " slot"]
) -> Float32[np.ndarray, "neuron slot token"]:
    """Expected levels of the tokens in these slots: the neuron's mean activation on the token, as a share of its peak times 10.

    The means leave the neuron's score excerpts out. A token without a mean (rare, or seen only there) gets the neuron's mean over
    its random excerpts, those of the score split again left out; a negative mean is level 0, one above the peak 10.
    NaN for a silent neuron, which has no peak.
    """
    entries = np.full(len(recordings.vocabulary), -1, dtype=np.int64)
    entries[recordings.table_tokens] = np.arange(len(recordings.table_tokens))
    tokens = recordings.corpus[recordings.excerpts[rows[:, None], slots]]  # (neuron, slot, token)
    places = entries[tokens].reshape(len(rows), -1)
    randoms = recordings.slots.where(*OPEN_SPLITS, kind=Kind.RANDOM)
    drawn = np.asarray(recordings.activations[rows[:, None], randoms], np.float32)
    neuron_means = drawn.mean(axis=(1, 2))[:, None] if drawn.size else np.zeros((len(rows), 1), np.float32)
    if len(recordings.table_tokens):
        means = np.take_along_axis(np.asarray(recordings.token_means[rows]), np.maximum(places, 0), axis=1).astype(np.float32)
        means = np.where((places >= 0) & ~np.isnan(means), means, neuron_means)
    else:
        means = np.broadcast_to(neuron_means, places.shape)
    levels = np.clip(TOP * means / recordings.peaks[rows].astype(np.float32)[:, None], 0.0, TOP)
    return np.asarray(levels.reshape(tokens.shape), dtype=np.float32)
