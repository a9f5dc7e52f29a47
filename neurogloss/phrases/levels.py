"""Levels of phrases: how strongly a phrase predicts each distinct token of a corpus, whatever stands around it.

A phrase that names tokens outright (the word "of") is read literally; any other by how much it raises a token's probability (`profiles`):

    level = 10 * max(0, gain - threshold) ** power / the same at its highest
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int, Int64

from neurogloss.artifacts.recordings import Recordings
from neurogloss.config.params import Params
from neurogloss.config.vocabulary import VocabularyParams
from neurogloss.phrases.profiles import Gains
from neurogloss.phrases.quoted import named, variant

BLOCK = 256
"""Phrases handled at a time."""


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


class PhraseLevels:
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


def open_phrase_levels(recordings: Recordings, params: Params) -> PhraseLevels:
    """The levels of phrases on these recordings; the model is loaded only when a phrase is not known yet."""
    chosen = params.vocabulary
    prompt = params.prompts.vocabulary[chosen.prompt]
    return PhraseLevels(recordings, Gains(params.model(chosen.model, "vocabulary.model"), prompt), chosen)
