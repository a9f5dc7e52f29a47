"""Take a sentence apart: quoted words, pieces of words, plain words and clauses, each with the role it plays."""

import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

MAX_ITEMS = 60
"""Items read of one sentence; the network was fitted to sentences of 5 to 60."""
KINDS = ("quoted", "member", "piece", "part", "word", "clause", "list")
"""A quoted text, a word of one, a piece of a word split by + or |, or by a hyphen, a plain word, a clause, all quotes up to a semicolon."""
QUOTED = re.compile(r"\"((?:[^\"\\]|\\.)*)\"|“([^”]*)”")
ESCAPES = {"\\n": "\n", "\\t": "\t", '\\"': '"', "\\\\": "\\"}
LEADS = re.compile(
    r"^(?:(?:mainly|also|weakly|secondarily|rarely|chiefly|mixed|and|or|the|such as|like|especially|including|words?|other|often|plus|some|"
    r"otherwise|particularly|in|e\.g\.)\b\s*)+",
    re.IGNORECASE,
)
STOP_WORDS = frozenset(
    """
    a an the of in on at to and or but as by for with from is are was were be been also mainly often such like e g i etc other words
    word whatever which who that this these those it its their his her them after before right just into inside within any some all
    both not no very weakly rarely chiefly secondarily especially usually sometimes otherwise when where than then so there has have
    had do does up out over about between during under plus including include one two more most
    """.split()  # noqa: SIM905  # Words in quotes are harder to read.
)
LATER = re.compile(r"\b(?:also|weakly|secondarily|rarely|otherwise)\b")
BEFORE = """
    after before in of like word words piece pieces fragment fragments prefix also mainly and or letter digit verb the as start
    starts beginning with names between to
""".split()  # noqa: SIM905  # Words in quotes are harder to read.
"""Words that tell a role when they stand right before an item."""
NEAR = """
    after before in pieces fragments piece starts names word words between first last of also mainly
""".split()  # noqa: SIM905  # Words in quotes are harder to read.
"""Words that tell a role when they stand anywhere before an item in its clause."""
IN_CLAUSE = ("piece", "fragment", "name", "after", "before", "digit", "letter", "start", "end", "token", "newline")
"""Parts of words that tell what a clause speaks of."""
KEYWORDS = """
    piece fragment name digit isbn hyphen newline comma of and preposition verb noun adjective plural start capital foreign list
    quot parenthes chem math year number word-initial end final last second middle suffix prefix continu single letter token punct
    space citation bibliograph title heading function pronoun article auxiliar adverb after before first inside rare greek latin
    mainly mixed context text group person place date month science technical compound participle past relative determiner
    conjunction repeat every stop abstract formal modif complet split acronym full join sentence
""".split()  # noqa: SIM905  # Words in quotes are harder to read.
"""Parts of words that say what kind of token a sentence speaks of."""


class Item(NamedTuple):
    """Something in a sentence that a token can fit."""

    text: str
    kind: str
    start: int
    """Offset in the sentence of the phrase it stands in."""
    quoted: bool = False
    before: str = ""
    """What stands before a piece in its word."""
    after: str = ""


def items(sentence: str) -> list[Item]:
    """The items of a sentence in a fixed order, at most `MAX_ITEMS`; at least one unless the sentence is empty."""
    quotes = list(QUOTED.finditer(sentence))
    plain = list(sentence)
    for quote in quotes:
        plain[quote.start() : quote.end()] = "\0" * (quote.end() - quote.start())
    rest = "".join(plain)
    texts = [(unescaped(quote[1] if quote[1] is not None else quote[2]), quote.start()) for quote in quotes]
    found = [item for text, start in texts for item in quoted_items(text, start)]
    found += plain_items(rest)
    found += clauses(rest)
    for part in re.finditer(r"[^;]+", rest):
        listed = [text.strip() for text, start in texts if part.start() <= start < part.end() and any(map(str.isalnum, text))]
        if listed:
            found.append(Item(", ".join(listed[:12]), "list", part.start()))
    return found[:MAX_ITEMS] or [Item(sentence, "clause", 0)]


def unescaped(text: str) -> str:
    """What a quoted text stands for."""
    return re.sub(r"\\[nt\"\\]", lambda found: ESCAPES[found[0]], text)


def quoted_items(text: str, start: int) -> Iterator[Item]:
    """The text itself (each side of a slash), with and without what is in brackets, its pieces, and its words where it has several."""
    whole = text.strip() or text
    for side in [whole] if "/" not in whole.strip("/") else whole.split("/"):
        if side:
            yield Item(side.strip() or side, "quoted", start, True)
    optional = re.match(r"(.+?)\((\w+)\)(.*)$", whole)
    if optional:
        yield Item("".join(optional.groups()), "quoted", start, True)
        yield Item(optional[1].strip(), "quoted", start, True)
    for word in whole.split():
        if len(word) > 1:
            yield from pieces(word, start, True)
    if " " in whole:
        for word in re.findall(r"[^\s,;()]+", whole):
            yield Item(word, "member", start, True)


def pieces(word: str, start: int, quoted: bool) -> Iterator[Item]:
    """The pieces of a word written Sav+age, Val|bona or Pash-t-un; none where it is not split."""
    by_sign = re.search(r"\w[+|]|[+|]\w", word) is not None
    cut = re.split(r"[+|]" if by_sign else "-", word)
    for place, piece in enumerate(cut):
        if piece and len(cut) > 1:
            yield Item(piece, "piece" if by_sign else "part", start, quoted, "".join(cut[:place]), "".join(cut[place + 1 :]))


def plain_items(rest: str) -> Iterator[Item]:
    """Words outside quotes that are not stop words, and the pieces of those that are split."""
    for found in re.finditer(r"[^\s,;:()\"/\0]+", rest):
        word = found[0].strip("'.…")
        if re.search(r"\w[+|\-]\w", word):
            yield from pieces(word, found.start(), False)
            word = re.sub(r"[+|]", "", word)
        if word and word.lower() not in STOP_WORDS:
            yield Item(word, "word", found.start())


def clauses(rest: str) -> Iterator[Item]:
    """What stands between marks of punctuation, without quotes and leading filler, where a word of its own is left."""
    for found in re.finditer(r"[^;:,()]+", rest):
        text = LEADS.sub("", " ".join(found[0].replace("\0", " ").split())).strip(" .-")
        if any(word.lower() not in STOP_WORDS for word in re.findall(r"[^\W\d_][\w'-]*", text)):
            yield Item(text, "clause", found.start())


def roles(found: list[Item], sentence: str) -> Float32[np.ndarray, "item role"]:
    """What each item is and what the words before it make of it."""
    return np.array([role(item, sentence) for item in found], np.float32)


def role(item: Item, sentence: str) -> list[float]:
    """Kind, place, the words before it, and how the text itself is written."""
    head = sentence[: item.start].lower()
    clause = set(re.findall(r"[a-z]+", re.split(r"[;:(,]", head)[-1]))
    last = (re.findall(r"[a-z]+", head) or [""])[-1]
    text = item.text
    lower = text.lower() if item.kind == "clause" else ""
    return [
        *[float(item.kind == kind) for kind in KINDS],
        float(item.quoted),
        float(head.count("(") > head.count(")")),
        float(LATER.search(head) is not None),
        float(sentence.lstrip().lower().startswith("mainly")),
        item.start / max(1, len(sentence)),
        *[float(last == word) for word in BEFORE],
        *[float(word in clause) for word in NEAR],
        float(len(text) == 1),
        float(len(text) <= 3),
        float(text[:1].isupper()),
        float(text.isupper()),
        float(text.isdigit()),
        float(not any(map(str.isalnum, text))),
        min(len(text.split()), 8) / 8,
        *[float(word in lower) for word in IN_CLAUSE],
    ]


def keywords(sentence: str) -> Float32[np.ndarray, " keyword"]:
    """Which keywords the sentence names, first in its main part, then in what follows "also"."""
    lower = sentence.lower()
    later = LATER.search(lower)
    main, rest = (lower[: later.start()], lower[later.start() :]) if later else (lower, "")
    named = [float(word in part) for part in (main, rest) for word in KEYWORDS]
    return np.array([*named, min(lower.count('"') / 20, 1), min(len(lower), 300) / 300], np.float32)
