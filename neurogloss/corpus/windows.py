"""Excerpts: random token windows of one length, none across a document's border, none overlapping, none twice."""

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
from jaxtyping import Bool, Int32, Int64, UInt64
from tqdm import tqdm

from neurogloss.corpus.documents import Document
from neurogloss.errors import UserError

logger = logging.getLogger(__name__)

Encode = Callable[[list[str]], list[list[int]]]
AT_ONCE = 16


@dataclass(frozen=True)
class Excerpts:
    """What the subject reads, in the order of the corpus."""

    documents: list[str]
    """Name of each excerpt's document."""
    starts: Int32[np.ndarray, " excerpt"]
    """Position of the first token in its document."""
    tokens: Int32[np.ndarray, "excerpt token"]
    held_out: Bool[np.ndarray, " excerpt"]
    """In a document that is dealt to the score split as a whole; nowhere true where windows are dealt."""


class Candidates:
    """Different windows with the smallest keys so far, so that memory does not grow with the corpus.

    A key is a hash of the window's tokens: a uniform sample of the different windows (bottom-k), whatever came in which batch.
    """

    def __init__(self, wanted: int) -> None:
        self.wanted = wanted
        self.largest = np.uint64(2**64 - 1)
        self.waiting = 0
        self.parts: list[tuple[np.ndarray, ...]] = []

    def add(
        self, keys: UInt64[np.ndarray, " window"], places: Int64[np.ndarray, "window 2"], tokens: Int32[np.ndarray, "window token"]
    ) -> None:
        """Take in windows: their keys, places (document, start) and tokens."""
        small = keys <= self.largest
        if small.any():
            self.parts.append((keys[small], places[small], tokens[small], np.ones(int(small.sum()), np.int64)))
            self.waiting += int(small.sum())
        if self.waiting > max(self.wanted, 4096):
            self.settle()

    def settle(self) -> tuple[np.ndarray, ...] | None:
        """Keep the `wanted` smallest keys, each with its first window and how often it came, in the order of the corpus; None for none."""
        if not self.parts:
            return None
        keys, places, tokens, times = (np.concatenate(column) for column in zip(*self.parts, strict=True))
        different, first, group = np.unique(keys, return_index=True, return_inverse=True)
        times = np.bincount(group, weights=times).astype(np.int64)[: self.wanted]
        order = np.argsort(first[: self.wanted])
        kept = first[order]
        self.parts = [(keys[kept], places[kept], tokens[kept], times[order])]
        self.waiting = 0
        if len(kept) == self.wanted:
            self.largest = different[self.wanted - 1]
        return self.parts[0]


def draw_excerpts(
    documents: Iterable[Document], encode: Encode, wanted: int, length: int, rng: np.random.Generator, counts: Counter[str]
) -> Excerpts:
    """Draw windows uniformly among all different ones that tile the documents; no document is held out yet.

    Where a tiling begins and which windows are drawn follows from their tokens and the seed, so equal documents are tiled alike and give
    each window once, the first. `counts` learns how many documents were too short, how many tokens and windows there were, and how many
    windows were left out because they repeat a drawn one (`repeated`).
    Raises UserError where the corpus holds fewer different windows than wanted.
    """
    drawn, secret = Candidates(wanted), rng.bytes(16)
    names: dict[int, str] = {}
    for number, (name, ids) in enumerate(encoded(documents, encode)):
        counts["tokens"] += len(ids)
        windows = len(ids) // length
        if not windows:
            counts["too_short"] += 1
            continue
        counts["windows"] += windows
        offset = hashed(ids, secret) % (len(ids) - windows * length + 1)
        tokens = ids[offset : offset + windows * length].reshape(windows, length)
        keys = np.fromiter((hashed(window, secret) for window in tokens), np.uint64, windows)
        places = np.stack([np.full(windows, number), offset + length * np.arange(windows)], axis=1)
        drawn.add(keys, places, tokens)
        names[number] = name
    kept = drawn.settle()
    if kept is None or len(kept[0]) < wanted:
        raise UserError(too_little(counts, 0 if kept is None else len(kept[0]), wanted, length))
    _, places, tokens, times = kept
    counts["repeated"] += int(times.sum()) - wanted
    found = [names[place] for place in places[:, 0].tolist()]
    return Excerpts(found, places[:, 1].astype(np.int32), tokens, np.zeros(wanted, np.bool_))


def hashed(tokens: Int32[np.ndarray, " token"], secret: bytes) -> int:
    """64 bits that follow from the tokens and the secret alone."""
    return int.from_bytes(hashlib.blake2b(tokens.tobytes(), digest_size=8, key=secret).digest(), "little")


def encoded(documents: Iterable[Document], encode: Encode) -> Iterator[tuple[str, Int32[np.ndarray, " token"]]]:
    """Token ids of each document, several texts at a time."""
    source = iter(tqdm(documents, desc="read corpus", unit=" documents", mininterval=1))
    while group := list(islice(source, AT_ONCE)):
        for document, ids in zip(group, encode([document.text for document in group]), strict=True):
            yield document.name, np.asarray(ids, np.int32)


def too_little(counts: Counter[str], different: int, wanted: int, length: int) -> str:
    """Why the corpus is not enough, with the numbers."""
    return (
        f"the corpus holds {different} different excerpts of {length} tokens, record.excerpts asks for {wanted} "
        f"({counts['documents']} documents with {counts['tokens']} tokens, {counts['windows'] - different} excerpts that repeat others, "
        f"{counts['too_short']} documents too short, {counts['malformed']} malformed); "
        "ask for fewer or shorter excerpts or name a larger corpus"
    )
