"""Simulate with any chat endpoint in few tokens: the excerpt with its tokens numbered, and as the answer only those above zero.

    17:4 23:9        token 17 has level 4, token 23 level 9, all others 0
    none             all are 0

Whatever is not exactly that is a failure, never zeros: a number of no token, a token twice, a level that is no whole number from 1 to 10,
a range, words. With several excerpts in one question each is answered, read and counted on a line of its own.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Int

from neurogloss.artifacts.recordings import Recordings
from neurogloss.artifacts.status import FailureLimit, Status
from neurogloss.config.models import ModelParams
from neurogloss.config.prompts import CompactPrompt, excerpt, fill
from neurogloss.errors import ProviderError
from neurogloss.llm.escape import shown
from neurogloss.llm.refusals import refused
from neurogloss.llm.request import Client, Message, Reply, Request, model_id
from neurogloss.simulators.asking import Asked, Found, ask_excerpts, worth_another
from neurogloss.simulators.reading import one_line
from neurogloss.simulators.result import SimulatedLevels

NONE = re.compile(r"none\.?", re.IGNORECASE)
ENTRY = re.compile(r"([1-9][0-9]{0,5}): ?([1-9]|10)")
SEPARATOR = re.compile(r"[\s,;]+(?=[^\s,;]*:)")
"""Between two entries; the blank that may follow a colon is none."""
LINE = re.compile(r"([1-9][0-9]{0,5})\)(.*)")
"""The answer for one of several excerpts."""
FENCE = re.compile(r"```\w*")


def simulate(  # the interface of all simulators
    recordings: Recordings,
    rows: Int[np.ndarray, " row"],
    slots: Int[np.ndarray, " place"],
    texts: list[str | None],
    client: Client,
    prompt: CompactPrompt,
    model: ModelParams,
    limit: FailureLimit | None = None,
) -> SimulatedLevels:
    """The level of each token of these excerpts of these neurons; `texts` are their explanations."""
    opening = opening_of(prompt)

    def asked(text: str, excerpts: list[list[bytes]]) -> Asked:
        request = Request(
            provider=model.provider,
            model=model_id(model),
            messages=(*opening, Message("user", question(text, excerpts, prompt))),
            max_tokens=prompt.max_tokens,
        )

        def again(found: list[Found]) -> list[Request]:
            return [replace(request, sample=1)] if prompt.tries > 1 and worth_another(found) else []

        return Asked([request], lambda replies: read(replies[0], [len(pieces) for pieces in excerpts], prompt), again)

    return ask_excerpts(recordings, rows, slots, texts, client, asked, prompt.excerpts_per_question, limit)


def opening_of(prompt: CompactPrompt) -> tuple[Message, ...]:
    """System and examples, as many excerpts in one turn as there will be in a question."""
    several = prompt.excerpts_per_question > 1
    messages = [Message("system", f"{prompt.system}\n{prompt.several}" if several else prompt.system)]
    for example in prompt.examples.values():
        found = [excerpt(one.tokens) for one in example.excerpts]
        for start in range(0, len(found), prompt.excerpts_per_question):
            part = found[start : start + prompt.excerpts_per_question]
            messages.append(Message("user", question(example.explanations[0], [one.pieces for one in part], prompt)))
            messages.append(Message("assistant", answer([one.levels for one in part], prompt)))
    return tuple(messages)


def question(explanation: str, excerpts: Sequence[list[bytes]], prompt: CompactPrompt) -> str:
    """The explanation and the numbered tokens of one excerpt, or of several under headings."""
    blocks = [numbered(pieces) for pieces in excerpts]
    if prompt.excerpts_per_question > 1:
        blocks = [f"{fill(prompt.heading, number=str(number))}\n{block}" for number, block in enumerate(blocks, 1)]
    return fill(prompt.question, explanation=one_line(explanation), excerpts="\n\n".join(blocks))


def numbered(pieces: list[bytes]) -> str:
    r"""One token on a line behind its number; a plus sign where no blank begins the token: three tokens a line, a tab would be a fourth.

    >>> numbered([b"The", b" old", b" tug", b"boat", b"\n"])
    '1+The\n2 old\n3 tug\n4+boat\n5+\\n'
    """
    texts = [shown(piece) for piece in pieces]
    return "\n".join(f"{number}{'' if text.startswith(' ') else '+'}{text}" for number, text in enumerate(texts, 1))


def answer(levels: Sequence[Sequence[int]], prompt: CompactPrompt) -> str:
    """What a right answer looks like, for the levels of one excerpt or of several."""
    lines = [" ".join(f"{number}:{level}" for number, level in enumerate(one, 1) if level) or "none" for one in levels]
    if prompt.excerpts_per_question == 1:
        return lines[0]
    return "\n".join(f"{number}) {line}" for number, line in enumerate(lines, 1))


def read(reply: Reply | ProviderError, lengths: list[int], prompt: CompactPrompt) -> list[Found]:
    """Levels (token) on the scale 0..10, or why there are none, of each excerpt of the question; `lengths` are their tokens."""
    if isinstance(reply, ProviderError):
        return [Status(reply.status)] * len(lengths)
    if reply.finish_reason == "content_filter":
        return [Status.REFUSED] * len(lengths)
    text, cut_off = FENCE.sub("", reply.text).strip(), reply.finish_reason == "length"
    if prompt.excerpts_per_question == 1:
        # An answer that is cut off may lack any number of tokens, however well it reads.
        found: list[Found] = [Status.CUT_OFF if cut_off else parse(text, lengths[0])]
    else:
        found = parse_lines(text, lengths, cut_off)
    return [Status.REFUSED if one is Status.UNPARSABLE and refused(text) else one for one in found]


def parse(text: str, tokens: int) -> Found:
    """The levels of one excerpt.

    >>> parse("2:4, 3: 9", 4).tolist(), parse("none", 2).tolist(), parse("2-3:4", 4), parse("2:4 2:4", 4)
    ([0.0, 4.0, 9.0, 0.0], [0.0, 0.0], <Status.UNPARSABLE: 'unparsable'>, <Status.UNPARSABLE: 'unparsable'>)
    """
    levels = np.zeros(tokens)
    text = text.strip()
    if NONE.fullmatch(text):
        return levels
    for part in SEPARATOR.split(text):
        entry = ENTRY.fullmatch(part)
        if entry is None or int(entry[1]) > tokens or levels[int(entry[1]) - 1]:
            return Status.UNPARSABLE
        levels[int(entry[1]) - 1] = int(entry[2])
    return levels


def parse_lines(text: str, lengths: list[int], cut_off: bool) -> list[Found]:
    """The levels of several excerpts. A line that belongs to none of them, or words between the lines, leave all of them in doubt."""
    lines = [LINE.fullmatch(line.strip()) for line in text.splitlines() if line.strip()]
    if cut_off:
        lines = lines[:-1]
    numbers = Counter(int(line[1]) for line in lines if line)
    if None in lines or any(number > len(lengths) for number in numbers):
        return [Status.UNPARSABLE] * len(lengths)
    said = {int(line[1]): line[2] for line in lines if line}
    missing = Status.CUT_OFF if cut_off else Status.UNPARSABLE
    return [
        missing if number not in said else Status.UNPARSABLE if numbers[number] > 1 else parse(said[number], tokens)
        for number, tokens in enumerate(lengths, 1)
    ]
