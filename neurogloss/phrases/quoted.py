"""Explanations that name tokens outright: the word "of" · the tokens "1", "2". They are read literally, not asked of a model."""

import json
import re

QUOTED = r"\"(?:[^\"\\]|\\.)*\""
NAMED = re.compile(
    r"(?:(?:all |any )?(?:instances|occurrences|uses) of )?(?:the )?(?:words?|letters?|numbers?|characters?|signs?|symbols?|tokens?) "
    rf"({QUOTED}(?:(?:,? and |,? or |, ){QUOTED})*)(?: and nothing else| alone| only)?",
    re.IGNORECASE,
)


def variant(text: str) -> str:
    """What tokens that differ only in case or in the blank around them have in common.

    >>> variant(" The") == variant("the")
    True
    """
    return text.strip().lower() or text


def naming(kind: str, texts: list[str]) -> str:
    """A phrase that names tokens.

    >>> naming("words", ["of", 'a "b"'])
    'the words "of", "a \\\\"b\\\\""'
    """
    return f"the {kind} " + ", ".join(json.dumps(text, ensure_ascii=False) for text in texts)


def named(phrase: str) -> list[str] | None:
    """The tokens a phrase names, or None where it is not of that form.

    >>> named('the words "of", "in"')
    ['of', 'in']
    >>> named('instances of the words "a", "b", and "c"'), named('the word "of" and nothing else')
    (['a', 'b', 'c'], ['of'])
    >>> named("words such as of") is None
    True
    """
    found = NAMED.fullmatch(phrase.strip())
    if not found:
        return None
    try:
        texts = json.loads(f"[{', '.join(re.findall(QUOTED, found[1]))}]", strict=False)
    except json.JSONDecodeError:
        return None
    return [str(text) for text in texts]


def phrases(text: str) -> list[str]:
    """The parts of an explanation: it is cut at each semicolon that stands outside quotes. A full stop at its end does not count.

    Nor does what stands between several senses (`neurogloss.artifacts.explanations.whole`).

    >>> phrases('the character ";"; metals; or: gases.')
    ['the character ";"', 'metals', 'gases']
    """
    text = text.rstrip().rstrip(".") or text
    parts = re.findall(r"(?:\"(?:[^\"\\]|\\.)*\"|[^;])+", text)
    return [part.strip().removeprefix("or: ") for part in parts if part.strip()] or [text.strip()]
