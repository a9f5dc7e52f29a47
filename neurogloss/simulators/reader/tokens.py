"""What a token looks like and what stands around it, without any sentence."""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

PREPOSITIONS = """
    of in on at to for with by from about as into over under between through after before during against upon
""".split()  # noqa: SIM905  # Words in quotes are harder to read.


def one_of(*words: str) -> str:
    """A pattern for exactly these words."""
    return "(?i)^(?:" + "|".join(map(re.escape, words)) + ")$"


def compiled(*patterns: str) -> tuple[re.Pattern[str], ...]:
    """Patterns, ready to search with."""
    return tuple(re.compile(pattern) for pattern in patterns)


RAW = compiled(r"^ ", r"\n", r"^[^\S\n]+$")
TOKEN = compiled(
    r"^[A-ZÀ-Þ]",
    r"^[A-ZÀ-Þ]{2,}$",
    r"^\d+$",
    r"^[\W_]+$",
    "^,$",
    r"^\.$",
    "^-$",
    r"^\($",
    r"^\)$",
    "^[\"'“”`]+$",
    "^/$",
    "^:$",
    "^;$",
    r"^[=|<>{}\[\]*+]+$",
    r"[^\x00-\x7f]",
    "\ufffd",
    "[Ͱ-ԯ]",
    "^.$",
    "^..$",
    "^...$",
    one_of("and", "or", "but"),
    one_of(*PREPOSITIONS),
    one_of("the", "a", "an"),
    one_of("is", "are", "was", "were", "be", "been", "has", "have", "had", "do", "does", "did"),
    one_of("may", "might", "can", "could", "would", "should", "must", "will", "shall"),
    one_of("he", "she", "it", "they", "we", "i", "you", "him", "her", "them", "us", "who", "which", "that"),
    one_of("his", "its", "their", "our", "my", "your"),
    one_of("that", "which", "who"),
)
WORD = compiled(
    r"^[A-ZÀ-Þ]",
    r"^[A-ZÀ-Þ]{2,}$",
    "(?i)ed$",
    "(?i)ing$",
    "(?i)...s$",
    "(?i)ly$",
    "(?i)(?:al|ic|ive|ous|able|ful)$",
    "(?i)(?:tion|ness|ity|ism|ment|ance|ence)$",
)
PREVIOUS = compiled(
    "^-$",
    "^,$",
    r"^\d+$",
    r"^\($",
    "^[\"'“]$",
    "^$",
    r"^[A-ZÀ-Þ]",
    "^/$",
    one_of("the"),
    one_of("of"),
    one_of("is", "are", "was", "were", "be", "been"),
    "ed$",
    one_of("a", "an"),
    one_of("and", "or"),
)
NEXT = compiled(
    "^-$",
    "^,$",
    r"^\d+$",
    r"^\($",
    r"^\)$",
    "^$",
    r"^[A-ZÀ-Þ]",
    r"^\.$",
    one_of("of"),
    one_of("the"),
    one_of("on", "to", "in", "with"),
    one_of("and", "or"),
)
TEXT = compiled(
    "ISBN",
    r"(?:^|[.!?][\"')]?\s*|\n\s*)$",
    r"\d$",
    r"\d{4}$",
    r"\n$",
    r"(?:January|February|March|April|May|June|July|August|September|October|November|December)\s*$",
)
FORMS = sum(map(len, (RAW, TOKEN, WORD, PREVIOUS, NEXT, TEXT))) + 21
TAIL = 45
"""Characters before a token that the patterns of `TEXT` see."""


class Words(NamedTuple):
    """The words of an excerpt: runs of tokens of letters, or of digits, without a blank between them."""

    texts: list[str]
    """Without blanks around."""
    of: list[int]
    """Position of each token's word."""
    piece: list[int]
    """Which piece of its word each token is."""
    sizes: list[int]
    """Pieces of each word."""


def words(tokens: Sequence[str]) -> Words:
    """Put tokens together into words.

    >>> words([" Sav", "age", " 19"])
    Words(texts=['Savage', '19'], of=[0, 0, 1], piece=[0, 1, 0], sizes=[2, 1])
    """
    texts: list[str] = []
    of: list[int] = []
    piece: list[int] = []
    sizes: list[int] = []
    for token in tokens:
        bare = token.strip()
        goes_on = bool(texts and bare) and not token[:1].isspace() and letter(bare[0]) and letter(texts[-1][-1:])
        if goes_on and bare[0].isdigit() == texts[-1][-1].isdigit() and not tokens[len(of) - 1][-1:].isspace():
            texts[-1] += bare
            sizes[-1] += 1
        else:
            texts.append(bare)
            sizes.append(1)
        of.append(len(texts) - 1)
        piece.append(sizes[-1] - 1)
    return Words(texts, of, piece, sizes)


def letter(sign: str) -> bool:
    """Whether a sign belongs inside a word."""
    return sign.isalnum() or sign > "\x7f"


def token_features(tokens: Sequence[str], found: Words) -> Float32[np.ndarray, "token feature"]:
    """Form of each token and its word, its neighbours, its place in the excerpt."""
    rows, text, met = [], "", set[str]()
    bare = ["", *[token.strip() for token in tokens], ""]
    for place, token in enumerate(tokens):
        own, word, piece, size = bare[place + 1], found.texts[found.of[place]], found.piece[place], found.sizes[found.of[place]]
        before = bare[place] if piece else ""
        seen = (RAW, token), (TOKEN, own), (WORD, word), (PREVIOUS, bare[place]), (NEXT, bare[place + 2]), (TEXT, text[-TAIL:])
        forms = [float(pattern.search(string) is not None) for patterns, string in seen for pattern in patterns]
        shape = [piece == 0, piece == size - 1, size > 1, 0 < piece < size - 1, 0 < piece == size - 1, piece == 0 < size - 1, piece > 0]
        around = [place == 0, place == 1, place < 4, text.count("(") > text.count(")"), own.lower() in met and len(own) > 2]
        piece_before = [len(before) == 1, len(before) == 2, len(before) == 3, before[:1].isupper(), before.isdigit() and own.isdigit()]
        counts = [min(piece, 4) / 4, min(len(own), 10) / 10, min(len(word), 16) / 16, min(place, 64) / 64]
        rows.append([*forms, *map(float, [*shape, *around, *piece_before]), *counts])
        text += token
        met.add(own.lower())
    return np.array(rows, np.float32).reshape(len(tokens), FORMS)
