"""Where marked texts and kinds of tokens stand in the excerpts of a unit. Levels here are shares of the highest, 0 to 1."""

import re
from bisect import bisect_left
from collections.abc import Sequence
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float64, Int

from neurogloss.phrases.marks import Literal
from neurogloss.phrases.token_classes import FUNCTION_WORDS, Place, TokenClass
from neurogloss.phrases.wording import Relation

CASE, LETTER_CASE = 0.6, 0.35
"""What a match in another case counts, in general and for single letters."""
FORM = 0.2
"""What another form of a word counts: "suffering" for "suffered"."""
STEM, ENDING = 4, 3
"""Letters that a stem has at least, and that an ending has at most."""
EDGE = "\0"
"""Stands between excerpts."""


class TokenTexts:
    """Distinct tokens by their text: what matching needs to know about each, computed once."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = list(texts)
        self.stripped = [text.strip() or text for text in self.texts]
        self.lower = [text.lower() for text in self.stripped]
        self.lengths = np.array([len(text) for text in self.texts], np.int64)
        self.sizes = np.array([len(text) for text in self.stripped], np.int64)
        self.leads = np.array([len(text) - len(text.lstrip()) if text.strip() else 0 for text in self.texts], np.int64)
        self.begins = np.array([text[:1].isalpha() for text in self.texts], bool)
        self.ends = np.array([text[-1:].isalpha() for text in self.texts], bool)
        self.capitalized = np.array([text[:1].isupper() for text in self.stripped], bool)
        self.closes = np.array([bool(re.search(r"[.!?][\"”)]*\s*$|\n", text)) for text in self.texts], bool)
        self.known: dict[str, Bool[np.ndarray, " entry"]] = {}

    @cached_property
    def alphabetical(self) -> tuple[Int[np.ndarray, " entry"], list[str]]:
        """Entries by their text in lower case, and those texts."""
        order = sorted(range(len(self.lower)), key=lambda entry: self.lower[entry])
        return np.array(order, np.int64), [self.lower[entry] for entry in order]

    def forms(self, word: str) -> Int[np.ndarray, " entry"]:
        """The tokens that share the stem of a word, and all but a few letters.

        >>> TokenTexts([" suffer", " suffering", " surface"]).forms("suffered").tolist()
        [0, 1]
        """
        order, texts = self.alphabetical
        stem = word[: max(STEM, len(word) - ENDING)]
        begin, end = bisect_left(texts, stem), bisect_left(texts, stem + chr(0x10FFFF))
        return order[[place for place in range(begin, end) if len(texts[place]) <= len(stem) + STEM]]

    @cached_property
    def content(self) -> Bool[np.ndarray, " entry"]:
        """Words of three letters and more that are not function words."""
        return np.array([len(text) > 2 and text.isalpha() and text not in FUNCTION_WORDS for text in self.lower], bool)

    def matching(self, pattern: re.Pattern[str]) -> Bool[np.ndarray, " entry"]:
        """Whether each token, without the blank around it, matches in full."""
        if pattern.pattern not in self.known:
            self.known[pattern.pattern] = np.array([pattern.fullmatch(text) is not None for text in self.stripped], bool)
        return self.known[pattern.pattern]


class Passage:
    """Excerpts of a unit, one after the other, as tokens and as text."""

    def __init__(self, tokens: TokenTexts, excerpts: Sequence[Int[np.ndarray, " token"]]) -> None:
        self.known = tokens
        self.entries = np.concatenate([np.asarray(excerpt, np.int64) for excerpt in excerpts]) if len(excerpts) else np.zeros(0, np.int64)
        counts = np.array([len(excerpt) for excerpt in excerpts if len(excerpt)], np.int64)
        self.first = np.zeros(len(self.entries), bool)
        self.first[np.cumsum(counts) - counts] = True
        lengths = tokens.lengths[self.entries]
        self.ends = np.cumsum(lengths + self.first)
        self.starts = self.ends - lengths
        self.text = EDGE.join(["", *("".join(tokens.texts[entry] for entry in excerpt) for excerpt in excerpts if len(excerpt)), ""])
        folded = self.text.lower()
        self.lower = folded if len(folded) == len(self.text) else "".join(c.lower() if len(c.lower()) == 1 else c for c in self.text)

    def __len__(self) -> int:
        return len(self.entries)

    @cached_property
    def continues(self) -> Bool[np.ndarray, " token"]:
        """Whether a token goes on with the word of the token before."""
        return np.asarray(self.known.begins[self.entries] & self.shifted(self.known.ends[self.entries], 1))

    @cached_property
    def continued(self) -> Bool[np.ndarray, " token"]:
        """Whether the next token goes on with a token's word."""
        return self.shifted(self.continues, -1)

    def shifted(self, marked: Bool[np.ndarray, " token"], by: int) -> Bool[np.ndarray, " token"]:
        """The tokens one after (1) or before (-1) the marked ones in their excerpt."""
        found = np.zeros(len(self), bool)
        if by > 0:
            found[1:] = marked[:-1] & ~self.first[1:]
        else:
            found[:-1] = marked[1:] & ~self.first[1:]
        return found

    def of_class(self, kind: TokenClass) -> Bool[np.ndarray, " token"]:
        """The tokens of a kind."""
        if kind.pattern is not None:
            found = self.known.matching(kind.pattern)[self.entries]
        elif kind.place is Place.TEXT_START:
            found = self.first
        elif kind.place is Place.SENTENCE_START:
            found = self.known.capitalized[self.entries] & (self.first | self.shifted(self.known.closes[self.entries], 1))
        elif kind.place is Place.WORD_START:
            found = ~self.continues & self.continued
        elif kind.place is Place.CONTINUATION:
            found = self.continues
        else:
            found = self.continues | self.continued if kind.place is Place.PIECE else np.ones(len(self), bool)
        return np.asarray(found)

    def spans(self, text: str) -> list[int]:
        """Where a text begins, in any case."""
        text = text.lower()
        found: list[int] = []
        place = self.lower.find(text) if text else -1
        while place >= 0:
            found.append(place)
            place = self.lower.find(text, place + 1)
        return found

    def literal(self, literal: Literal) -> Float64[np.ndarray, " token"]:
        """How far each token is what a literal means."""
        levels = np.zeros(len(self))
        if literal.text.isspace():
            levels[[self.known.texts[entry] == literal.text for entry in self.entries]] = 1
            return levels
        if literal.whole and literal.text.isalpha() and len(literal.text) > STEM:
            levels[np.isin(self.entries, self.known.forms(literal.text.lower())) & ~self.continues] = FORM
        for begin in self.spans(literal.text):
            end = begin + len(literal.text)
            case = 1.0 if self.text[begin:end] == literal.text else LETTER_CASE if len(literal.text) == 1 else CASE
            for token, share in self.covered(literal, begin, end):
                levels[token] = max(levels[token], case * share)
        return levels

    def covered(self, literal: Literal, begin: int, end: int) -> list[tuple[int, float]]:
        """The tokens that the meant part of a literal at (begin, end) covers, and how far."""
        part, until = begin + literal.start, begin + literal.end
        left = literal.text[0].isalnum() and self.text[begin - 1].isalnum()
        right = literal.text[-1].isalnum() and self.text[end].isalnum()
        if (literal.suffix and right) or (literal.prefix and left):
            return []
        found: list[tuple[int, float]] = []
        for token in range(int(np.searchsorted(self.ends, part, side="right")), int(np.searchsorted(self.starts, until, side="left"))):
            start, stop = int(self.starts[token] + self.known.leads[self.entries[token]]), int(self.ends[token])
            share = (min(until, stop) - max(part, start)) / int(self.known.sizes[self.entries[token]])
            if share <= 0:
                continue
            if literal.split:
                share = 1.0 if start == part else 0.5 if start > part else 0.0
            elif literal.suffix or literal.prefix:
                share = 1.0
            elif left and begin > start:
                continue
            elif right and end < stop:
                if len(literal.text) < 3:
                    continue
                share **= 2
            found.append((token, share))
        return found

    def related(self, relation: Relation, operands: Sequence[str]) -> Bool[np.ndarray, " token"]:
        """The tokens right after, right before or inside the operands."""
        marked = np.zeros(len(self), bool)
        for operand in operands:
            for begin in self.spans(operand):
                end = begin + len(operand)
                if relation is Relation.INSIDE:
                    marked[int(np.searchsorted(self.ends, begin, side="right")) : int(np.searchsorted(self.starts, end, side="left"))] = (
                        True
                    )
                    continue
                loose = operand[0].isalnum() and self.text[begin - 1].isalnum()
                if relation is Relation.AFTER:
                    token = int(np.searchsorted(self.starts, end, side="left"))
                    inside = loose and self.starts[np.searchsorted(self.ends, begin, side="right")] != begin
                    if not inside and 0 < token < len(self) and self.ends[token - 1] == end and not self.first[token]:
                        marked[token] = True
                else:
                    token = int(np.searchsorted(self.ends, begin, side="right"))
                    if not loose and not (operand[-1].isalnum() and self.text[end].isalnum()) and token > 0 and not self.first[token]:
                        marked[token - 1] = True
        return marked
