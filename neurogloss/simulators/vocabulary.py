"""vocabulary: the level of a token is how much the explanation raises its probability; context plays no part.

An explanation is one or more phrases, cut at semicolons; its level for a token is the mean over the phrases (`neurogloss.phrases.levels`).
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float16, Float32, Int, Int32

from neurogloss.artifacts.recordings import Recordings
from neurogloss.artifacts.status import CODES, Status
from neurogloss.parallel import map_shards
from neurogloss.phrases.levels import PhraseLevels
from neurogloss.phrases.quoted import phrases
from neurogloss.simulators.result import SimulatedLevels, blank

BLOCK = 256
"""Neurons handled at a time."""


class KnownPhrases(NamedTuple):
    """What all simulations share."""

    levels: Float32[np.ndarray, "phrase entry"]
    entries: Int32[np.ndarray, "excerpt token"]
    """Which of the distinct tokens each token of the corpus is."""


class ExplainedBlock(NamedTuple):
    """Some neurons with an explanation."""

    excerpts: Int32[np.ndarray, "neuron place"]
    phrases: list[list[int]]
    """Of each neuron, at least one."""


def read_block(known: KnownPhrases, block: ExplainedBlock) -> Float16[np.ndarray, "neuron place token"]:
    """The mean level of each neuron's phrases on its excerpts."""
    levels = np.empty((*block.excerpts.shape, known.entries.shape[1]), np.float16)
    for neuron, numbers in enumerate(block.phrases):
        levels[neuron] = known.levels[numbers].mean(axis=0)[known.entries[block.excerpts[neuron]]]
    return levels


def simulate(
    phrase_levels: PhraseLevels,
    rows: Int[np.ndarray, " neuron"],
    slots: Int[np.ndarray, " place"],
    texts: Sequence[str | None],
) -> SimulatedLevels:
    """Levels of each explanation on its neuron's excerpts; each distinct phrase is read once."""
    recordings: Recordings = phrase_levels.recordings
    result = blank(len(rows), len(slots), recordings.corpus.shape[1], Status.NO_EXPLANATION)
    cut = [phrases(text) if text is not None else [] for text in texts]
    distinct = sorted({phrase for parts in cut for phrase in parts})
    if not distinct:
        return result
    number = {phrase: position for position, phrase in enumerate(distinct)}
    known = KnownPhrases(phrase_levels.levels(distinct), phrase_levels.entries.of(recordings.corpus).astype(np.int32))
    explained = np.flatnonzero([len(parts) > 0 for parts in cut])
    parts = [explained[start : start + BLOCK] for start in range(0, len(explained), BLOCK)]

    def blocks() -> Iterator[ExplainedBlock]:
        for part in parts:
            excerpts = np.asarray(recordings.excerpts[rows[part][:, None], slots])
            yield ExplainedBlock(excerpts, [[number[phrase] for phrase in cut[place]] for place in part])

    for part, levels in zip(parts, map_shards(read_block, known, blocks()), strict=True):
        result.levels[part] = levels
        result.status[part] = CODES.index(Status.OK)
    return result
