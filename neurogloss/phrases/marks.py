"""Marks of a sentence: quoted words, pieces such as Sav+age, endings such as -ing, and how each can be met in a text."""

import json
import re
from typing import NamedTuple

DOUBLE, SINGLE = "\u201c\u201d\u201e\u00ab\u00bb\u300c\u300d", "\u2018\u2019\u201a"
STRAIGHT = str.maketrans({**dict.fromkeys(DOUBLE, '"'), **dict.fromkeys(SINGLE, "'")})
SCAN = re.compile(
    r"""
    (?P<quote>"(?:[^"\\]|\\.)+"|(?<![\w"])'[^'"\s](?:[^'"]{0,30}[^'"\s])?'(?!\w)|\"{3}|'"'|`[^`]+`)
  | "(?P<unclosed>(?=\S)[^,;()"]{1,40})
  | (?P<pieces>[^\W_]+(?:[+|][^\W_]+)+)
  | (?P<suffix>(?<![\w])[-…~][^\W\d_]+(?!\w))
  | (?P<prefix>(?<!\w)[^\W\d_]+-(?![\w-]))
  | (?P<word>[^\W_]+(?:[-'/][^\W_]+)*)
  | (?P<punctuation>[^\w\s]|_)
    """,
    re.VERBOSE,
)


class Item(NamedTuple):
    """A mark, word or punctuation mark of a sentence."""

    kind: str
    text: str
    nested: bool
    """Whether it stands in parentheses."""

    @property
    def marked(self) -> bool:
        """Whether it is said literally."""
        return self.kind in ("quote", "pieces", "suffix", "prefix")


class Literal(NamedTuple):
    """A text to be found among tokens, and which part of it is meant."""

    text: str
    start: int
    end: int
    suffix: bool = False
    """It ends a word, whatever stands before."""
    prefix: bool = False
    """It begins a word, whatever follows."""
    split: bool = False
    """A token must begin or end where the part does."""

    @property
    def whole(self) -> bool:
        """Whether all of it is meant, as a word."""
        return not (self.suffix or self.prefix or self.split)


def scan(text: str) -> list[Item]:
    """Marks, words and punctuation in order. A quote that does not close ends before the next punctuation mark.

    >>> [item.text for item in scan('"of" after “number”, Sav+age')]
    ['of', 'after', 'number', ',', 'Sav+age']
    """
    items: list[Item] = []
    depth = 0
    for match in SCAN.finditer(text.translate(STRAIGHT)):
        kind, found = str(match.lastgroup), match[str(match.lastgroup)]
        if kind == "unclosed":
            found = found.strip()
            if len(found.split()) > 3:
                items += [Item("word", word, depth > 0) for word in found.split()]
                continue
            kind = "quote"
        elif kind == "quote":
            found = unescaped(found[1:-1])
        elif kind == "punctuation":
            depth = max(0, depth + (found in "([") - (found in ")]"))
        items.append(Item(kind, found, depth > 0))
    return items


def unescaped(quoted: str) -> str:
    r"""What a quoted text stands for, where it has escapes as in JSON.

    >>> unescaped(r"\n") == "\n"
    True
    """
    if "\\" not in quoted:
        return quoted
    try:
        return str(json.loads(f'"{quoted}"', strict=False))
    except json.JSONDecodeError:
        return quoted


def literals(text: str, quoted: bool = True, first: bool = False) -> list[Literal]:
    """How a marked text can occur: pieces separated by punctuation mean those after the first (or the first), a hyphen may be its own.

    >>> literals("Sav+age")
    [Literal(text='Savage', start=3, end=6, suffix=False, prefix=False, split=True)]
    """
    text = text.strip() or text
    if quoted and len(text) > 1:
        text = re.sub(r"^(?:\.\.\.|…|~)|(?:\.\.\.|…|~)$", "-", text)
    if re.fullmatch(r"[^\W\d_]+(?:/[^\W\d_]+)+", text):
        return [Literal(word, 0, len(word)) for word in text.split("/")]
    if re.fullmatch(r"[^\W\d_]+\([^\W\d_]+\)", text):
        text = text[: text.index("(")] + "-"
    elif re.fullmatch(r"\([^\W\d_]+\)[^\W\d_]+", text):
        text = "-" + text[text.index(")") + 1 :]
    if re.fullmatch(r"[-…~][^\W\d_]+", text):
        return [Literal(text[1:], 0, len(text) - 1, suffix=True)]
    if re.fullmatch(r"[^\W\d_]+-", text):
        return [Literal(text[:-1], 0, len(text) - 1, prefix=True)]
    if not re.fullmatch(r"[^\W_]+(?:[+|-][^\W_]+)+", text):
        return [Literal(text, 0, len(text))]
    pieces = re.split(r"[+|-]", text)
    joined, cut = "".join(pieces), len(pieces[0])
    found = [Literal(joined, 0, cut, split=True) if first else Literal(joined, cut, len(joined), split=True)]
    return [*found, Literal(text, 0, len(text))] if "-" in text else found
