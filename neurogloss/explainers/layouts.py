"""How the excerpts of a neuron are laid out for an explainer."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from neurogloss.config.prompts import (
    AnyExplainPrompt,
    AttentionPrompt,
    Excerpt,
    MarkedPrompt,
    PairsPrompt,
    PiecesPrompt,
    RevisePrompt,
    SensesPrompt,
    fill,
)
from neurogloss.llm.escape import shown


def pair_lines(pieces: list[bytes], levels: list[int]) -> str:
    r"""Token, tab, level; one token on a line.

    >>> pair_lines([b"a", b"\t"], [0, 7])
    'a\t0\n\\t\t7'
    """
    return "\n".join(f"{shown(piece)}\t{level}" for piece, level in zip(pieces, levels, strict=True))


def highlighted(found: Excerpt, prompt: MarkedPrompt | RevisePrompt | SensesPrompt) -> str:
    """Running text with the firing tokens marked. Characters of the mark that the text itself holds get a backslash."""
    opening, _, rest = prompt.mark.partition("{token}")
    special = {*opening, *rest[:1]} - {"{", "}"}
    parts, plain = [], b""
    for piece, level in zip(*found, strict=True):
        if level < prompt.mark_from:
            plain += piece  # Joined before decoding: a character may be spread over tokens.
            continue
        text = guarded(piece, special)
        blank = " " if text.startswith(" ") else ""
        parts += [guarded(plain, special), blank + fill(prompt.mark, token=text[len(blank) :], level=str(level))]
        plain = b""
    return "".join([*parts, guarded(plain, special)])


KEY, QUERY_AND_KEY, QUERY = 1, 9, 10
"""In place of levels, what a token of a head's excerpt is."""


def attended(found: Excerpt, prompt: AttentionPrompt) -> str:
    """Running text with the query and its keys marked; a query that reads itself has both marks."""
    special = {*prompt.mark.partition("{token}")[0], *prompt.key.partition("{token}")[0]} - {"{", "}"}
    parts, plain = [], b""
    for piece, role in zip(*found, strict=True):
        if role not in (KEY, QUERY_AND_KEY, QUERY):
            plain += piece
            continue
        text = guarded(piece, special)
        blank = " " if text.startswith(" ") else ""
        text = text[len(blank) :]
        text = fill(prompt.key, token=text) if role in (KEY, QUERY_AND_KEY) else text
        text = fill(prompt.mark, token=text, level="10") if role in (QUERY, QUERY_AND_KEY) else text
        parts += [guarded(plain, special), blank + text]
        plain = b""
    return "".join([*parts, guarded(plain, special)])


def guarded(piece: bytes, special: set[str]) -> str:
    """A piece as text, a backslash before each special character."""
    return "".join(f"\\{c}" if c in special else c for c in shown(piece))


def quoted(found: Excerpt) -> str:
    """Tokens as a list on one line, each in quotation marks since blanks matter."""
    return ", ".join('"' + shown(piece).replace('"', '\\"') + '"' for piece in found.pieces)


def shifted(found: Excerpt) -> Excerpt:
    """Each token with the level of the token before it; the first has none and is left out."""
    return Excerpt(found.pieces[1:], found.levels[:-1])


def cut_pieces(excerpts: list[Excerpt], strengths: Float[np.ndarray, "excerpt token"], prompt: PiecesPrompt) -> list[Excerpt]:
    """Pieces of text around the strongest tokens, the strongest first, no text twice; none where no token reaches `mark_from`.

    A token that stands in an earlier piece gets none of its own, so an excerpt gives several only where it fires in places far apart.
    """
    pieces: list[Excerpt] = []
    covered = np.array([one.levels for one in excerpts]) < prompt.mark_from
    for place in np.argsort(-strengths, axis=None, kind="stable").tolist():
        number, token = divmod(place, strengths.shape[1])
        if covered[number, token] or len(pieces) == prompt.pieces:
            continue
        part = slice(max(0, token - prompt.before), token + prompt.after + 1)
        covered[number, part] = True
        text = excerpts[number].pieces[part]
        if all(text != piece.pieces for piece in pieces):
            pieces.append(Excerpt(text, excerpts[number].levels[part]))
    return pieces


def block(found: list[Excerpt], prompt: AnyExplainPrompt) -> str:
    """All excerpts of a neuron."""
    if isinstance(prompt, PairsPrompt):
        texts = [pair_lines(*one) for one in found]
    elif isinstance(prompt, AttentionPrompt):
        texts = [attended(one, prompt) for one in found]
    elif isinstance(prompt, MarkedPrompt):
        texts = [highlighted(one, prompt) for one in found]
    else:
        texts = [quoted(one) for one in found]
    return "\n".join(fill(prompt.excerpt, lines=text) for text in texts)


def repeated(found: list[Excerpt], prompt: AnyExplainPrompt, number: str) -> str:
    """The pairs above zero once more, where they are a small share (Bills et al. 2023); else nothing."""
    if not isinstance(prompt, PairsPrompt):
        return ""
    above = [(piece, level) for one in found for piece, level in zip(*one, strict=True) if level > 0]
    if not above or len(above) >= prompt.repeat_below * sum(len(one.levels) for one in found):
        return ""
    lines = pair_lines([piece for piece, _ in above], [level for _, level in above])
    return "\n" + fill(prompt.repeat, lines=lines, number=number)


class OutputSide(NamedTuple):
    """What stands for {promoted} and {suppressed}."""

    promoted: str
    suppressed: str


NOTHING_WRITTEN = OutputSide("", "")


def output_side(promoted: list[bytes], suppressed: list[bytes]) -> OutputSide:
    """Tokens that a unit raises and lowers, as lists."""
    return OutputSide(*(quoted(Excerpt(tokens, [])) or "none" for tokens in (promoted, suppressed)))


def question(found: list[Excerpt], prompt: AnyExplainPrompt, number: int, answers: int, written: OutputSide = NOTHING_WRITTEN) -> str:
    """One unit, up to where the answer begins."""
    if isinstance(prompt, PairsPrompt) and prompt.layout == "next_token":
        found = [shifted(one) for one in found]
    text = fill(
        prompt.question,
        number=str(number),
        answers=str(answers),
        excerpts=block(found, prompt),
        repeat=repeated(found, prompt, str(number)),
        **written._asdict(),
    )
    return f"{text}\n{prompt.prefix}" if prompt.prefix else text


def answer(explanations: list[str], prompt: AnyExplainPrompt) -> str:
    """What a good answer looks like."""
    if prompt.answers == 1:
        return f"{explanations[0]}."
    return "\n".join(f"{place}. {text}" for place, text in enumerate(explanations, 1))
