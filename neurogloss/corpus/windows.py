"""Excerpts: random token windows of one length, none across a document's border, none overlapping."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
from jaxtyping import Int32
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


class ReservoirSample:
    """Windows kept so far: those with the smallest random numbers, so that memory does not grow with the corpus."""

    def __init__(self, wanted: int) -> None:
        self.wanted = wanted
        self.largest = np.inf
        self.waiting = 0
        self.parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def add(self, keys: np.ndarray, places: np.ndarray, tokens: np.ndarray) -> None:
        """Take in windows: their random numbers (window), places (window, 2: document, start) and tokens (window, token)."""
        small = keys < self.largest
        if small.any():
            self.parts.append((keys[small], places[small], tokens[small]))
            self.waiting += int(small.sum())
        if self.waiting > max(self.wanted, 4096):
            self.settle()

    def settle(self) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        """Keep the `wanted` smallest of all so far, in the order they came; None where there are none."""
        if not self.parts:
            return None
        keys, places, tokens = (np.concatenate(column) for column in zip(*self.parts, strict=True))
        kept = np.sort(np.argsort(keys, kind="stable")[: self.wanted])
        self.parts = [(keys[kept], places[kept], tokens[kept])]
        self.waiting = 0
        if len(kept) == self.wanted:
            self.largest = float(keys[kept].max())
        return self.parts[0]


def draw_excerpts(
    documents: Iterable[Document], encode: Encode, wanted: int, length: int, rng: np.random.Generator, counts: Counter[str]
) -> Excerpts:
    """Draw windows uniformly among all that tile the documents, each document tiled from a random offset.

    `counts` learns how many documents were too short and how many tokens and windows there were.
    Raises UserError where the corpus holds fewer windows than wanted.
    """
    drawn = ReservoirSample(wanted)
    names: dict[int, str] = {}
    for number, (name, ids) in enumerate(encoded(documents, encode)):
        counts["tokens"] += len(ids)
        windows = len(ids) // length
        if not windows:
            counts["too_short"] += 1
            continue
        counts["windows"] += windows
        offset = int(rng.integers(0, len(ids) - windows * length + 1))
        keys = rng.random(windows)
        starts = offset + length * np.arange(windows)
        places = np.stack([np.full(windows, number), starts], axis=1)
        drawn.add(keys, places, ids[offset : offset + windows * length].reshape(windows, length))
        names[number] = name
    kept = drawn.settle()
    if kept is None or len(kept[0]) < wanted:
        raise UserError(too_little(counts, wanted, length))
    _, places, tokens = kept
    return Excerpts([names[place] for place in places[:, 0].tolist()], places[:, 1].astype(np.int32), tokens)


def encoded(documents: Iterable[Document], encode: Encode) -> Iterator[tuple[str, Int32[np.ndarray, " token"]]]:
    """Token ids of each document, several texts at a time."""
    source = iter(tqdm(documents, desc="read corpus", unit=" documents", mininterval=1))
    while group := list(islice(source, AT_ONCE)):
        for document, ids in zip(group, encode([document.text for document in group]), strict=True):
            yield document.name, np.asarray(ids, np.int32)


def too_little(counts: Counter[str], wanted: int, length: int) -> str:
    """Why the corpus is not enough, with the numbers."""
    return (
        f"the corpus holds {counts['windows']} excerpts of {length} tokens, record.excerpts asks for {wanted} "
        f"({counts['documents']} documents with {counts['tokens']} tokens, {counts['too_short']} of them too short, "
        f"{counts['malformed']} malformed); ask for fewer or shorter excerpts or name a larger corpus"
    )
