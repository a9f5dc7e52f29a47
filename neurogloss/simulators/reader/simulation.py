"""reader: a small network reads the sentence and each token with what stands around it; no language model, no network.

It was fitted to levels that a careful reader gave for sentences about other neurons (`benchmarks/train_reader.py`).
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float16, Int

from neurogloss.artifacts.recordings import Recordings
from neurogloss.artifacts.status import CODES, Status
from neurogloss.parallel import map_shards
from neurogloss.simulators.reader.network import load_reader
from neurogloss.simulators.result import SimulatedLevels, blank

BLOCK = 32
"""Neurons handled at a time."""


class ExplainedBlock(NamedTuple):
    """Some neurons with an explanation."""

    explanations: list[str]
    excerpts: list[list[list[str]]]
    """(neuron, place, token), as text."""


def read_block(_: None, block: ExplainedBlock) -> Float16[np.ndarray, "neuron place token"]:
    """Levels of each explanation on its neuron's excerpts."""
    reader = load_reader()
    return np.array([reader.levels(*pair) for pair in zip(block.explanations, block.excerpts, strict=True)], np.float16)


def texts_of(recordings: Recordings, row: int, slots: Int[np.ndarray, " place"]) -> list[list[str]]:
    """The tokens of a neuron's excerpts, as text."""
    return [[recordings.text(int(token)) for token in tokens] for tokens in recordings.tokens(row, slots)]


def simulate(
    recordings: Recordings, rows: Int[np.ndarray, " neuron"], slots: Int[np.ndarray, " place"], texts: Sequence[str | None]
) -> SimulatedLevels:
    """Levels 0..10 of each explanation on its neuron's excerpts; an explanation without a word counts as none."""
    result = blank(len(rows), len(slots), recordings.corpus.shape[1], Status.NO_EXPLANATION)
    explained = np.flatnonzero([text is not None and bool(text.strip()) for text in texts])
    parts = [explained[start : start + BLOCK] for start in range(0, len(explained), BLOCK)]

    def blocks() -> Iterator[ExplainedBlock]:
        for part in parts:
            excerpts = [texts_of(recordings, int(row), slots) for row in rows[part]]
            yield ExplainedBlock([str(texts[place]) for place in part], excerpts)

    for part, levels in zip(parts, map_shards(read_block, None, blocks()), strict=True):
        result.levels[part] = levels
        result.status[part] = CODES.index(Status.OK)
    return result
