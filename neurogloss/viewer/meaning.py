"""Explanations as vectors: the average of the subject's own input embeddings of their words, rare words counting more.

Kept small enough for a browser to search by: one vector of 128 bytes a word, from which a page makes those of explanations and queries.
"""

import re
from collections import Counter
from collections.abc import Container, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Int8

from neurogloss.viewer.encode import packed
from neurogloss.viewer.similar import unit

WORD = re.compile(r"[^\W\d_]+", re.UNICODE)
"""A page cuts explanations and queries in the same way."""
SIGNS = {
    "$": "dollar money", "€": "euro money", "£": "pound money", "%": "percent", "&": "and", "@": "email", "#": "hash number", "+": "plus",
    "=": "equals", "<": "less", ">": "greater", "(": "bracket", ")": "bracket", "[": "bracket", "]": "bracket", "{": "bracket",
    "}": "bracket", "?": "question", "!": "exclamation", "°": "degrees", "©": "copyright", "/": "slash", "*": "star", "^": "power",
}  # fmt: skip
"""Words for signs, which have no vector of their own worth having."""
WIDTH = 128
COMMON = 8
"""Directions in which frequent words differ from rare ones rather than in meaning; left out (Mu and Viswanath 2018)."""
RARE = 1e-3
"""A word's weight is RARE / (RARE + its share of the corpus' tokens) (Arora et al. 2017).

Words that most explanations share, such as "word" and "letter", tell little, too: the square of a word's share of all their words counts
where it is larger, which leaves alone what only some of them say.
"""
SHARD = 8192


class WordVectors(NamedTuple):
    """Words with a vector each."""

    words: list[str]
    """Lower case, ascending."""
    vectors: Int8[np.ndarray, "word width"]
    """Unit vectors times 127."""
    weights: Float32[np.ndarray, " word"]


def words_of(text: str) -> list[str]:
    """The words of a text, signs named.

    >>> words_of("Rivers, and snow-white 3rd_things at $5")
    ['rivers', 'and', 'snow', 'white', 'rd', 'things', 'at', 'dollar', 'money']
    """
    return WORD.findall("".join(f" {SIGNS[c]} " if c in SIGNS else c for c in text.lower()))


def word_vectors(
    texts: Sequence[str | None], subject: Any, embedding: Float[np.ndarray, "token width"], shares: dict[int, float]
) -> WordVectors:
    """Vectors of all words in these texts and of all words that are one token. `shares` of a token are of the corpus."""
    single = one_token_words(subject.vocabulary)
    wanted = {word for text in texts if text for word in words_of(text)}
    single |= {word: single[known] for word in wanted - set(single) if (known := singular(word, single))}
    words = sorted(wanted | set(single))
    spelled = [word for word in words if word not in single]
    several = dict(zip(spelled, subject.encode([f" {word}" for word in spelled]), strict=True)) if spelled else {}
    ids = [[single[word]] if word in single else several[word] for word in words]
    vectors = np.stack([embedding[i].mean(axis=0) for i in ids]) if ids else np.zeros((0, embedding.shape[1]), np.float32)
    said = Counter(word for text in texts if text for word in words_of(text))
    total = max(1, said.total())
    common = [max(min((shares.get(t, 0.0) for t in i), default=0.0), (said[word] / total) ** 2) for word, i in zip(words, ids, strict=True)]
    weights = np.array([RARE / (RARE + share) for share in common], np.float32)
    return WordVectors(words, np.rint(unit(narrowed(vectors)) * 127).astype(np.int8), weights)


def singular(word: str, known: Container[str]) -> str | None:
    """The word without the ending of a plural, where that is known: its vector says more than those of its pieces.

    >>> singular("currencies", {"currency"}), singular("boxes", {"box"}), singular("glass", {"glas", "money"})
    ('currency', 'box', None)
    """
    forms = [word[:-3] + "y"] * word.endswith("ies") + [word[:-2]] * word.endswith("es")
    forms += [word[:-1]] * (word.endswith("s") and not word.endswith("ss"))
    return next((form for form in forms if form in known), None)


def one_token_words(vocabulary: Sequence[bytes]) -> dict[str, int]:
    """Words that are a token with its leading blank, lower case first."""
    found: dict[str, int] = {}
    for number, piece in enumerate(vocabulary):
        text = piece.decode("utf-8", errors="ignore")
        word = text[1:]
        if text.startswith(" ") and WORD.fullmatch(word) and len(word) > 1 and (word == word.lower() or word.lower() not in found):
            found[word.lower()] = number
    return found


def narrowed(vectors: Float[np.ndarray, "word width"]) -> Float[np.ndarray, "word kept"]:
    """The WIDTH directions in which the words' unit vectors differ most after the COMMON ones; zeros where there are fewer."""
    if not len(vectors):
        return np.zeros((0, WIDTH), np.float32)
    centred = unit(vectors)
    centred = centred - centred.mean(axis=0)
    values, directions = np.linalg.eigh((centred.T @ centred).astype(np.float64))
    kept = directions[:, np.argsort(-values, kind="stable")[COMMON : COMMON + WIDTH]]
    kept *= np.sign(kept[np.abs(kept).argmax(axis=0), np.arange(kept.shape[1])])  # an eigenvector's sign is arbitrary
    found = centred @ kept.astype(np.float32)
    return np.pad(found, ((0, 0), (0, WIDTH - found.shape[1])))


def text_vectors(texts: Sequence[str | None], words: WordVectors) -> Float[np.ndarray, "text width"]:
    """Unit vectors of explanations; zeros where there is no text or no known word."""
    place = {word: i for i, word in enumerate(words.words)}
    weighted = words.vectors.astype(np.float32) * words.weights[:, None]
    found = np.zeros((len(texts), WIDTH), np.float32)
    for row, text in enumerate(texts):
        at = [place[word] for word in words_of(text or "") if word in place]
        if at:
            found[row] = weighted[at].sum(axis=0)
    return unit(found)


def shard(words: WordVectors, number: int) -> dict[str, Any]:
    """A part of the words for the page."""
    part = slice(number * SHARD, (number + 1) * SHARD)
    return {"words": words.words[part], "vectors": packed(words.vectors[part]), "weights": packed(words.weights[part])}
