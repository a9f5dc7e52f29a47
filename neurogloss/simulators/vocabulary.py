"""vocabulary: the level of a token is what the explanation says of it outright, or how much it raises the token's probability.

An explanation of phrases, cut at semicolons, is the mean over the phrases, and context plays no part (`neurogloss.phrases.levels`).
Any other is a sentence: its quoted words, pieces, kinds of tokens and what they stand after are looked up in the excerpts themselves
(`neurogloss.phrases.sentences`, `neurogloss.phrases.sentence_levels`).
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float16, Float32, Int, Int32

from neurogloss.artifacts.recordings import Recordings
from neurogloss.artifacts.status import CODES, Status
from neurogloss.parallel import map_shards
from neurogloss.phrases.levels import PhraseLevels
from neurogloss.phrases.passages import Passage, TokenTexts
from neurogloss.phrases.quoted import phrases
from neurogloss.phrases.sentence_levels import sentence_levels
from neurogloss.phrases.sentences import Reading, plain, read
from neurogloss.simulators.result import SimulatedLevels, blank

BLOCK = 256
"""Neurons handled at a time."""


class KnownPhrases(NamedTuple):
    """What all simulations of phrases share."""

    levels: Float32[np.ndarray, "phrase entry"]
    entries: Int32[np.ndarray, "excerpt token"]
    """Which of the distinct tokens each token of the corpus is."""


class ExplainedBlock(NamedTuple):
    """Some neurons with phrases."""

    excerpts: Int32[np.ndarray, "neuron place"]
    phrases: list[list[int]]
    """Of each neuron, at least one."""


class KnownTokens(NamedTuple):
    """What all simulations of sentences share."""

    texts: TokenTexts
    entries: Int32[np.ndarray, "excerpt token"]


class SentenceBlock(NamedTuple):
    """Some neurons with a sentence."""

    excerpts: Int32[np.ndarray, "neuron place"]
    readings: list[Reading]
    profiles: Float32[np.ndarray, "neuron entry"]


def read_block(known: KnownPhrases, block: ExplainedBlock) -> Float16[np.ndarray, "neuron place token"]:
    """The mean level of each neuron's phrases on its excerpts."""
    levels = np.empty((*block.excerpts.shape, known.entries.shape[1]), np.float16)
    for neuron, numbers in enumerate(block.phrases):
        levels[neuron] = known.levels[numbers].mean(axis=0)[known.entries[block.excerpts[neuron]]]
    return levels


def read_sentences(known: KnownTokens, block: SentenceBlock) -> Float16[np.ndarray, "neuron place token"]:
    """The levels of each neuron's sentence on its excerpts."""
    levels = np.empty((*block.excerpts.shape, known.entries.shape[1]), np.float16)
    for neuron, reading in enumerate(block.readings):
        passage = Passage(known.texts, known.entries[block.excerpts[neuron]])
        levels[neuron] = sentence_levels(reading, passage, block.profiles[neuron]).reshape(levels.shape[1:])
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
    sentence = [not all(plain(part) for part in parts) for parts in cut]
    listed = np.flatnonzero([bool(parts) and not told for parts, told in zip(cut, sentence, strict=True)])
    told = np.flatnonzero(sentence)
    if len(listed):
        fill(result, listed, simulate_phrases(phrase_levels, rows[listed], slots, [cut[place] for place in listed]))
    if len(told):
        fill(result, told, simulate_sentences(phrase_levels, rows[told], slots, ["; ".join(cut[place]) for place in told]))
    return result


def fill(
    result: SimulatedLevels, neurons: Int[np.ndarray, " explained"], blocks: Iterator[Float16[np.ndarray, "neuron place token"]]
) -> None:
    """Write the levels of neurons that were simulated block by block."""
    for start, levels in zip(range(0, len(neurons), BLOCK), blocks, strict=True):
        part = neurons[start : start + BLOCK]
        result.levels[part] = levels
        result.status[part] = CODES.index(Status.OK)


def simulate_phrases(
    phrase_levels: PhraseLevels, rows: Int[np.ndarray, " neuron"], slots: Int[np.ndarray, " place"], cut: list[list[str]]
) -> Iterator[Float16[np.ndarray, "neuron place token"]]:
    """Levels by phrases, one block of neurons after the other."""
    recordings = phrase_levels.recordings
    distinct = sorted({phrase for parts in cut for phrase in parts})
    number = {phrase: position for position, phrase in enumerate(distinct)}
    known = KnownPhrases(phrase_levels.levels(distinct), phrase_levels.entries.of(recordings.corpus).astype(np.int32))

    def blocks() -> Iterator[ExplainedBlock]:
        for start in range(0, len(rows), BLOCK):
            excerpts = np.asarray(recordings.excerpts[rows[start : start + BLOCK][:, None], slots])
            yield ExplainedBlock(excerpts, [[number[phrase] for phrase in parts] for parts in cut[start : start + BLOCK]])

    yield from map_shards(read_block, known, blocks())


def simulate_sentences(
    phrase_levels: PhraseLevels, rows: Int[np.ndarray, " neuron"], slots: Int[np.ndarray, " place"], sentences: list[str]
) -> Iterator[Float16[np.ndarray, "neuron place token"]]:
    """Levels by sentences, one block of neurons after the other; all their profiles are learned first."""
    recordings, entries = phrase_levels.recordings, phrase_levels.entries
    distinct = {sentence: read(sentence) for sentence in dict.fromkeys(sentences)}
    readings = [distinct[sentence] for sentence in sentences]
    phrase_levels.gains.learn(sorted({profile.phrase for reading in readings for profile in reading.profiles}))
    texts = TokenTexts([recordings.text(int(token)) for token in entries.tokens])

    def blocks() -> Iterator[SentenceBlock]:
        for start in range(0, len(rows), BLOCK):
            excerpts = np.asarray(recordings.excerpts[rows[start : start + BLOCK][:, None], slots])
            part = readings[start : start + BLOCK]
            yield SentenceBlock(excerpts, part, profile_levels(phrase_levels, part))

    yield from map_shards(read_sentences, KnownTokens(texts, entries.of(recordings.corpus).astype(np.int32)), blocks())


def profile_levels(phrase_levels: PhraseLevels, readings: Sequence[Reading]) -> Float32[np.ndarray, "neuron entry"]:
    """0..10 for each distinct token: of each sentence the mean over its profiles by weight, zero where it has none."""
    distinct = sorted({profile.phrase for reading in readings for profile in reading.profiles})
    number = {phrase: position for position, phrase in enumerate(distinct)}
    shares = np.zeros((len(readings), len(distinct)), np.float32)
    for row, reading in enumerate(readings):
        for profile in reading.profiles:
            shares[row, number[profile.phrase]] += profile.weight
    shares /= np.maximum(shares.sum(axis=1, keepdims=True), np.float32(1e-9))
    return np.asarray(shares @ phrase_levels.levels(distinct), np.float32)
