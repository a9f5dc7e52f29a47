"""How well each token of an excerpt fits each item of a sentence."""

import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from jaxtyping import Float32

from neurogloss.simulators.reader.sentence import Item
from neurogloss.simulators.reader.tokens import Words
from neurogloss.simulators.reader.vectors import PieceVectors

EDGES = "-\u2013.,'()"
"""Signs around an item that a token need not have."""
SUFFIXES = ("ies", "es", "s", "ed", "ing", "d", "ly", "al", "ity", "ion")
TOKEN_FEATURES = 17
SPAN_FEATURES = 6
FEATURES = TOKEN_FEATURES + SPAN_FEATURES + 2


def matches(found: Sequence[Item], tokens: Sequence[str], of: Words, vectors: PieceVectors) -> Float32[np.ndarray, "token item feature"]:
    """Literal matches of tokens and words, spans in the text and around them, likeness in meaning."""
    result = np.zeros((len(tokens), len(found), FEATURES), np.float32)
    meanings = vectors.of([item.text for item in found])
    likeness = vectors.of(of.texts)[of.of] @ meanings.T
    result[..., -2] = np.clip(2.5 * likeness, -0.5, 2.5)
    result[..., -1] = np.clip(4 * (likeness - 0.35), 0, 2.5)
    text = lowered("".join(tokens))
    starts = np.cumsum([0, *map(len, tokens)])
    for column, item in enumerate(found):
        if item.kind in ("clause", "list"):
            continue
        wanted = lowered(item.text)
        core = wanted.strip(EDGES) or wanted
        for place, token in enumerate(tokens):
            own = lowered(token.strip() or token)
            word = lowered(of.texts[of.of[place]])
            if shares(own, word, core):
                piece, size = of.piece[place], of.sizes[of.of[place]]
                before = sum(len(tokens[place - back].strip()) for back in range(1, piece + 1))
                result[place, column, :TOKEN_FEATURES] = [
                    *spelled(item.text, token.strip() or token, of.texts[of.of[place]], wanted, core),
                    *placed(own, word, core, piece, size, before),
                    *begun(token, own, core, piece),
                    *continued(item, token, own, core, text[: starts[place]], text[starts[place + 1] :]),
                ]
            elif item.before and not token[:1].isspace():
                result[place, column, TOKEN_FEATURES - 1] = text[: starts[place]].endswith(lowered(item.before))
        mark_spans(result[:, column, TOKEN_FEATURES:-2], wanted, text, starts)
        mark_following(result[:, column, -3], core, tokens, of)
    return result


@lru_cache(4096)
def lowered(text: str) -> str:
    """Lower case, each sign still one sign, so that offsets stay."""
    lower = text.lower()
    return lower if len(lower) == len(text) else "".join(sign.lower() if len(sign.lower()) == 1 else sign for sign in text)


@lru_cache(65536)
def stem(word: str) -> str:
    """A word without its commonest ending."""
    return next((word[: -len(end)] for end in SUFFIXES if word.endswith(end) and len(word) - len(end) >= 4), word)


@lru_cache(65536)
def related(word: str, core: str) -> bool:
    """Whether another word has the item's stem."""
    if len(core) < 4 or word == core:
        return False
    root = stem(core)
    return stem(word) == root or (len(root) >= 5 and word.startswith(root))


def shares(own: str, word: str, core: str) -> bool:
    """Whether the token or its word can match the item at all."""
    return own == core or core.startswith(own) or core in word or related(word, core)


def spelled(text: str, token: str, word: str, wanted: str, core: str) -> list[float]:
    """Token equal, equal but for case; the item a whole word of the same spelling."""
    lower = lowered(token)
    return [float(token in (text, text.strip(EDGES))), float(lower in (wanted, core)), float(word == text.strip(EDGES))]


def placed(own: str, word: str, core: str, piece: int, size: int, before: int) -> list[float]:
    """The item as a whole word (and its first, its last piece), at the start of a longer one, overlapping the token, at its end; stems."""
    whole = word == core
    longer = len(core) >= 2 and len(word) > len(core)
    at = word.find(core) if longer else -1
    overlap = min(before + len(own), at + len(core)) - max(before, at) if at >= 0 else 0
    kin = related(word, core)
    return [
        *map(float, [whole, whole and piece == 0, whole and piece == size - 1, at == 0]),
        min(1.0, max(0.0, overlap / max(len(own), len(core), 1))),
        *map(float, [longer and word.endswith(core), kin, kin and piece == 0]),
    ]


def begun(token: str, own: str, core: str, piece: int) -> list[float]:
    """How much of the item a token at the start of a word writes."""
    starts = piece == 0 and token[:1] == " " and 2 <= len(own) < len(core) and core.startswith(own)
    return [len(own) / len(core) if starts else 0.0]


def continued(item: Item, token: str, own: str, core: str, head: str, tail: str) -> list[float]:
    """For a piece of a split word: what stands before it (all, its last two letters), after it, and any token after the same beginning."""
    if item.kind not in ("piece", "part"):
        return [0.0] * 5
    before, after = lowered(item.before), lowered(item.after)
    fits = core.startswith(own)
    follows = bool(before) and head.endswith(before)
    return [
        float(fits and follows),
        float(fits and bool(before) and head.endswith(before[-2:])),
        float(fits and own == core and bool(after) and tail.startswith(after[:3])),
        float(fits and not before),
        float(follows and not token[:1].isspace()),
    ]


def mark_spans(marks: np.ndarray, wanted: str, text: str, starts: np.ndarray) -> None:
    """Where the item stands in the text: in a span of several tokens or a sign, at its last, its first token, right after, right before."""
    if not wanted:
        return
    worded = wanted[0].isalnum() and wanted[-1].isalnum()
    pattern = r"(?<![^\W_])" + re.escape(wanted) + r"(?![^\W_])" if worded else re.escape(wanted)
    for span in re.finditer(pattern, text):
        first = int(np.searchsorted(starts, span.start(), "right")) - 1
        last = int(np.searchsorted(starts, span.end() - 1, "right")) - 1
        if last > first or " " in wanted or not worded:
            marks[first : last + 1, 0] = 1
            marks[last, 1] = marks[first, 2] = worded
        marks[last + 1 : last + 2, 3] = 1
        if first:
            marks[first - 1, 4] = 1


def mark_following(marks: np.ndarray, core: str, tokens: Sequence[str], of: Words) -> None:
    """Tokens that go on in a word right after a piece equal to the item."""
    for place in range(1, len(tokens)):
        if of.piece[place] and lowered(tokens[place - 1].strip()) == core:
            marks[place] = 1
