"""The network: what an item is decides how its matches count; the strongest, the sum and the mean over items, and what is said
outright, meet the token's own form."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from neurogloss.phrases.passages import Passage, TokenTexts
from neurogloss.phrases.sentence_levels import literal_levels
from neurogloss.phrases.sentences import read
from neurogloss.simulators.reader.matching import matches
from neurogloss.simulators.reader.sentence import items, keywords, roles
from neurogloss.simulators.reader.tokens import token_features, words
from neurogloss.simulators.reader.vectors import PieceVectors

WEIGHTS = resources.files("neurogloss.simulators.reader").joinpath("weights.npz")
HIGHEST = 10.0


class Features(NamedTuple):
    """What the network sees of one sentence and one excerpt."""

    matches: Float32[np.ndarray, "token item match"]
    roles: Float32[np.ndarray, "item role"]
    tokens: Float32[np.ndarray, "token form"]
    keywords: Float32[np.ndarray, " keyword"]
    literal: Float32[np.ndarray, " token"]
    """0..1: what the sentence says outright, as `vocabulary` reads it."""


def features(sentence: str, excerpts: Sequence[Sequence[str]], vectors: PieceVectors) -> list[Features]:
    """One entry per excerpt; excerpts do not influence one another."""
    found = items(sentence)
    known = roles(found, sentence), keywords(sentence)
    split = [words(tokens) for tokens in excerpts]
    return [
        Features(matches(found, tokens, of, vectors), known[0], token_features(tokens, of), known[1], levels)
        for tokens, of, levels in zip(excerpts, split, literal(sentence, excerpts), strict=True)
    ]


def literal(sentence: str, excerpts: Sequence[Sequence[str]]) -> list[Float32[np.ndarray, " token"]]:
    """What the rules of `neurogloss.phrases` make of the sentence, 0..1."""
    texts = sorted({token for tokens in excerpts for token in tokens})
    place = {text: number for number, text in enumerate(texts)}
    known, reading = TokenTexts(texts), read(sentence)
    entries = [np.array([place[token] for token in tokens], np.int64) for tokens in excerpts]
    return [(literal_levels(reading, Passage(known, [row])) if len(row) else np.zeros(0)).astype(np.float32) for row in entries]


@dataclass(frozen=True)
class Reader:
    """The weights of the network, and the vectors that tell which words are alike."""

    weights: dict[str, np.ndarray]
    vectors: PieceVectors

    def levels(self, sentence: str, excerpts: Sequence[Sequence[str]]) -> list[Float32[np.ndarray, " token"]]:
        """Levels 0..10 of each token of each excerpt, of any lengths."""
        return [np.clip(forward(self.weights, seen), 0, HIGHEST) for seen in features(sentence, excerpts, self.vectors)]


def forward(weights: dict[str, np.ndarray], seen: Features) -> Float32[np.ndarray, " token"]:
    """Levels, not yet cut off at 10; `benchmarks/train_reader.py` has the same in torch."""
    hidden = np.maximum(seen.roles @ weights["role_in"].T + weights["role_in_bias"], 0)
    gates = (hidden @ weights["role_out"].T + weights["role_out_bias"]).reshape(len(seen.roles), -1, seen.matches.shape[2])
    fits = np.einsum("tjf,jkf->tjk", seen.matches, gates)
    pooled = np.concatenate([fits.max(axis=1), fits.sum(axis=1), fits.mean(axis=1), seen.literal[:, None]], axis=1)
    topic = np.tanh(weights["keyword"] @ seen.keywords + weights["keyword_bias"])
    form = np.tanh(seen.tokens @ weights["form"].T + weights["form_bias"])
    every = np.concatenate([seen.tokens, np.broadcast_to(seen.keywords, (len(seen.tokens), len(seen.keywords))), pooled], axis=1)
    middle = np.maximum(every @ weights["middle"].T + weights["middle_bias"], 0)
    total = pooled @ weights["direct"] + middle @ weights["out"] + (topic * form) @ weights["both"] + weights["bias"]
    return np.asarray(np.logaddexp(0, total), np.float32)


@cache
def load_reader(path: Traversable = WEIGHTS) -> Reader:
    """The reader that ships with the library."""
    with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
        arrays: dict[str, np.ndarray] = dict(stored)
    vectors = unpacked(arrays.pop("pieces"), arrays.pop("table"), arrays.pop("table_scale"))
    return Reader(arrays, vectors)


def unpacked(pieces: np.ndarray, table: np.ndarray, table_scale: np.ndarray) -> PieceVectors:
    """The vectors as they are stored: the pieces as UTF-8 lines, (piece, feature) in 8 bits, one scale a piece."""
    names = pieces.tobytes().decode().split("\n")
    return PieceVectors({name: place for place, name in enumerate(names)}, table.astype(np.float32) * table_scale[:, None])
