"""vocabulary: the level of a token is how much the explanation raises its probability; context plays no part.

An explanation is one or more phrases, cut at semicolons; its level for a token is the mean over the phrases. A phrase that
names tokens outright (the word "of") is read literally; any other is turned into levels by `profiles`:

    level = 10 * max(0, gain - threshold) ** power / the same at its highest
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float16, Float32, Int, Int32, Int64

from stages.artifacts.recordings import Recordings
from stages.artifacts.status import CODES, Status
from stages.engine import map_shards
from stages.params import VocabularyParams
from stages.simulators.profiles import Gains
from stages.simulators.quoted import named, phrases, variant
from stages.simulators.result import SimulatedLevels, blank

BLOCK = 256
"""Phrases or neurons handled at a time."""


@dataclass(frozen=True)
class Entries:
    """The distinct tokens of a corpus, and where each stands in the simulator's vocabulary."""

    tokens: Int64[np.ndarray, " entry"]
    """Token ids of the subject, ascending."""
    texts: list[str]
    """Variant of each: lower case, no blank around."""
    ids: Int64[np.ndarray, " entry"]
    """Token id of the simulator, -1 where it has none."""
    order: Int64[np.ndarray, " token"]
    """Simulator tokens sorted by variant, only those whose variant occurs in the corpus."""
    starts: Int64[np.ndarray, " variant"]
    """Where each variant begins in `order`."""
    variants: Int64[np.ndarray, " entry"]
    """Position in `starts` of each entry's variant."""

    def of(self, tokens: Int[np.ndarray, "..."]) -> Int[np.ndarray, "..."]:
        """Position of each token among the entries."""
        return np.searchsorted(self.tokens, tokens)


def entries(recordings: Recordings, gains: Gains) -> Entries:
    """Match the corpus with the simulator's tokenizer, by bytes; a token it does not have is read by the first token of its text."""
    tokens = np.unique(recordings.corpus).astype(np.int64)
    pieces = gains.pieces()
    place = {piece: number for number, piece in reversed(list(enumerate(pieces)))}
    strange = [recordings.text(int(token)) for token in tokens if recordings.vocabulary[token] not in place]
    first = gains.first_tokens(strange) if strange else {}
    ids = np.array([place.get(recordings.vocabulary[t], first.get(recordings.text(int(t)), -1)) for t in tokens], np.int64)
    texts = [variant(recordings.text(int(token))) for token in tokens]
    theirs = [variant(piece.decode("utf-8", errors="replace")) for piece in pieces]
    matched = {theirs[number] for number in ids if number >= 0}
    order = sorted((number for number, text in enumerate(theirs) if text in matched), key=lambda number: (theirs[number], number))
    ordered = [theirs[number] for number in order]
    starts = [position for position, text in enumerate(ordered) if position == 0 or text != ordered[position - 1]]
    where = {ordered[start]: position for position, start in enumerate(starts)}
    variants = np.array([where[theirs[number]] if number >= 0 else 0 for number in ids], np.int64)
    return Entries(tokens, texts, ids, np.array(order, np.int64), np.array(starts, np.int64), variants)


class Phrases(NamedTuple):
    """What all simulations share."""

    levels: Float32[np.ndarray, "phrase entry"]
    entries: Int32[np.ndarray, "excerpt token"]
    """Which of the distinct tokens each token of the corpus is."""


class Told(NamedTuple):
    """Some neurons with an explanation."""

    excerpts: Int32[np.ndarray, "neuron place"]
    phrases: list[list[int]]
    """Of each neuron, at least one."""


def read_block(known: Phrases, told: Told) -> Float16[np.ndarray, "neuron place token"]:
    """The mean level of each neuron's phrases on its excerpts."""
    levels = np.empty((*told.excerpts.shape, known.entries.shape[1]), np.float16)
    for neuron, numbers in enumerate(told.phrases):
        levels[neuron] = known.levels[numbers].mean(axis=0)[known.entries[told.excerpts[neuron]]]
    return levels


class Vocabulary:
    """Levels of phrases over the distinct tokens of a corpus."""

    def __init__(self, recordings: Recordings, gains: Gains, params: VocabularyParams) -> None:
        self.recordings = recordings
        self.gains = gains
        self.params = params
        self.found: Entries | None = None

    @property
    def entries(self) -> Entries:
        """The corpus matched with the simulator's tokenizer."""
        if self.found is None:
            self.found = entries(self.recordings, self.gains)
        return self.found

    def levels(self, wanted: Sequence[str]) -> Float32[np.ndarray, "phrase entry"]:
        """0..10 for each phrase and each distinct token of the corpus."""
        levels = np.zeros((len(wanted), len(self.entries.tokens)), np.float32)
        asked = []
        for row, phrase in enumerate(wanted):
            tokens = named(phrase)
            if tokens is None:
                asked.append(row)
                continue
            names = {variant(token) for token in tokens}
            levels[row] = [10.0 * (text in names) for text in self.entries.texts]
        self.gains.learn([wanted[row] for row in asked])
        for start in range(0, len(asked), BLOCK):
            part = asked[start : start + BLOCK]
            levels[part] = self.scaled(self.gains.of([wanted[row] for row in part]))
        return levels

    def scaled(self, gains: np.ndarray) -> Float32[np.ndarray, "phrase entry"]:
        """(phrase, token) -> (phrase, entry): gains as levels. A phrase that raises no token has level 0 everywhere."""
        found, params = self.entries, self.params
        own = gains[:, found.ids].astype(np.float32)
        best = np.maximum.reduceat(gains[:, found.order], found.starts, axis=1).astype(np.float32)[:, found.variants]
        mixed = params.variants * best + (1 - params.variants) * own
        mixed[:, found.ids < 0] = -np.inf
        raised = np.maximum(mixed - params.threshold, 0) ** params.power
        highest = raised.max(axis=1, keepdims=True)
        return np.asarray(10 * raised / np.where(highest > 0, highest, 1), np.float32)

    def simulate(self, rows: Int[np.ndarray, " neuron"], slots: Int[np.ndarray, " place"], texts: Sequence[str | None]) -> SimulatedLevels:
        """Levels of each explanation on its neuron's excerpts; each distinct phrase is read once."""
        result = blank(len(rows), len(slots), self.recordings.corpus.shape[1], Status.NO_EXPLANATION)
        cut = [phrases(text) if text is not None else [] for text in texts]
        distinct = sorted({phrase for parts in cut for phrase in parts})
        if not distinct:
            return result
        number = {phrase: position for position, phrase in enumerate(distinct)}
        known = Phrases(self.levels(distinct), self.entries.of(self.recordings.corpus).astype(np.int32))
        told = np.flatnonzero([len(parts) > 0 for parts in cut])
        parts = [told[start : start + BLOCK] for start in range(0, len(told), BLOCK)]

        def blocks() -> Iterator[Told]:
            for part in parts:
                excerpts = np.asarray(self.recordings.excerpts[rows[part][:, None], slots])
                yield Told(excerpts, [[number[phrase] for phrase in cut[place]] for place in part])

        for part, levels in zip(parts, map_shards(read_block, known, blocks()), strict=True):
            result.levels[part] = levels
            result.status[part] = CODES.index(Status.OK)
        return result
