"""Whole documents held out for the score split, so that what is scored on shares no document with what was looked at."""

import hashlib
import logging
from collections import Counter
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from neurogloss.config.record import SplitBy
from neurogloss.corpus.windows import Excerpts
from neurogloss.errors import UserError

logger = logging.getLogger(__name__)

HELD_OUT_SHARE = 0.25
"""Of the excerpts: the strongest of a quarter are about as strong as every fourth of all, as which windows are dealt to the score."""
MIN_DOCUMENTS, MIN_HELD_OUT = 8, 2
"""Documents that must give excerpts, and those of them that must be held out; with fewer the score would be about one or two texts."""


class Needed(NamedTuple):
    """How many excerpts a neuron's slots ask for."""

    score: int
    others: int


def hold_out_documents(excerpts: Excerpts, split_by: SplitBy, needed: Needed, seed: int) -> Excerpts:
    """Hold documents out, in an order that follows from their names and the seed, as long as they fit into HELD_OUT_SHARE of the excerpts.

    Where there are too few documents or excerpts, `auto` holds none out, so that windows are dealt, and says so; `document` raises
    UserError.
    """
    if split_by == "window":
        return excerpts
    held_out = deal_documents(excerpts.documents, seed)
    documents, chosen = len(set(excerpts.documents)), len({name for name, out in zip(excerpts.documents, held_out, strict=True) if out})
    enough = documents >= MIN_DOCUMENTS and chosen >= MIN_HELD_OUT
    if enough and held_out.sum() >= needed.score and (~held_out).sum() >= needed.others:
        return replace(excerpts, held_out=held_out)
    why = (
        f"the excerpts are from {documents} documents, of which {chosen} with {int(held_out.sum())} excerpts can be held out; "
        f"{MIN_DOCUMENTS} documents, {MIN_HELD_OUT} of them held out, are needed, with {needed.score} excerpts held out "
        f"and {needed.others} others"
    )
    if split_by == "document":
        raise UserError(
            f"record.split_by is document, but {why}; ask for more excerpts, name a larger corpus, or set record.split_by to window"
        )
    logger.warning("dealing windows, not documents, to the splits: %s", why)
    return excerpts


def deal_documents(documents: list[str], seed: int) -> np.ndarray:
    """Whether each excerpt's document is held out: bool (excerpt)."""
    sizes, limit = Counter(documents), int(HELD_OUT_SHARE * len(documents))
    chosen: set[str] = set()
    for name in sorted(
        sizes, key=lambda name: (hashlib.blake2b(name.encode("utf-8", "surrogateescape"), salt=seed_salt(seed)).digest(), name)
    ):
        if sizes[name] <= limit:
            chosen.add(name)
            limit -= sizes[name]
    return np.array([name in chosen for name in documents], np.bool_)


def seed_salt(seed: int) -> bytes:
    """A seed of any size as a salt."""
    return hashlib.blake2b(str(seed).encode(), digest_size=16).digest()
