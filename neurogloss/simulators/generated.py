"""Simulate with any chat endpoint: the model repeats the tokens of an excerpt, each with its level.

With log-probabilities of the alternatives (`alternatives` above 0, where the endpoint offers them) the expected level at each level's
place is read, without them the level itself; it is also what is read of all answers about a neuron where any of them lacks some.
An answer that does not repeat the tokens is a failure, never zeros.
"""

import json
import logging
import re
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Int

from neurogloss.artifacts.recordings import Recordings
from neurogloss.artifacts.status import FailureLimit, Status
from neurogloss.config.models import ModelParams
from neurogloss.config.prompts import GeneratedPrompt, fill
from neurogloss.errors import ProviderError
from neurogloss.llm.escape import shown
from neurogloss.llm.logprobs import alternatives_for
from neurogloss.llm.refusals import refused
from neurogloss.llm.request import Client, Message, Reply, Request, model_id
from neurogloss.simulators.asking import Asked, Found, ReadTwice, ask_excerpts, worth_another
from neurogloss.simulators.reading import example, expected_level, one_line, scaled
from neurogloss.simulators.result import SimulatedLevels

logger = logging.getLogger(__name__)

LEVEL = re.compile(r"[ \t]*\t[ \t]*(\d{1,2})\s*$| +(\d{1,2})\s*$")
"""What follows a token on its line: a tab, or blanks where the model writes no tabs, and the level."""
BLANKS = 50
"""At the end of an answer that is cut off: the model writes nothing else any more, as some do that must follow a schema."""
JSON_LEVEL = re.compile(r'"level"\s*:\s*(\d{1,2})(?![\d.])')


def simulate(  # the interface of all simulators
    recordings: Recordings,
    rows: Int[np.ndarray, " row"],
    slots: Int[np.ndarray, " place"],
    texts: list[str | None],
    client: Client,
    prompt: GeneratedPrompt,
    model: ModelParams,
    limit: FailureLimit | None = None,
) -> SimulatedLevels:
    """The level of each token of these excerpts of these neurons; `texts` are their explanations."""
    opening, warned = opening_of(prompt), list[bool]()
    alternatives = alternatives_for(model, prompt.alternatives) if prompt.alternatives and client.offers("top_logprobs") else 0
    follows_schema = prompt.answer == "json" and client.offers("json_schema")

    def asked(text: str, excerpts: list[list[bytes]]) -> Asked:
        (pieces,) = excerpts
        tokens = [shown(piece) for piece in pieces]
        request = Request(
            provider=model.provider,
            model=model_id(model),
            messages=(*opening, Message("user", question(text, tokens, prompt))),
            max_tokens=prompt.max_tokens,
            top_logprobs=alternatives,
            json_schema=schema(prompt.highest) if follows_schema else "",
        )

        def again(found: list[Found]) -> list[Request]:
            return [replace(request, sample=1)] if prompt.tries > 1 and worth_another(found) else []

        def found(replies: list[Reply | ProviderError]) -> list[Found]:
            if loops(replies[0]) and not warned:
                warned.append(True)
                logger.warning(
                    "%s fills its answers with blanks until max_tokens (%s), which is paid; use another prompt, such as compact, "
                    "or say in endpoints.*.capabilities that it follows no json_schema",
                    model.name,
                    prompt.max_tokens,
                )
            return [read(replies[0], tokens, prompt, alternatives > 0)]

        return Asked([request], found, again)

    return ask_excerpts(recordings, rows, slots, texts, client, asked, limit=limit)


def loops(reply: Reply | ProviderError) -> bool:
    """Whether an answer ends in nothing but blanks.

    >>> loops(Reply('{"levels": [' + 99 * " ", "length")), loops(Reply('{"levels": [', "length"))
    (True, False)
    """
    return isinstance(reply, Reply) and reply.finish_reason == "length" and len(reply.text) - len(reply.text.rstrip()) >= BLANKS


def opening_of(prompt: GeneratedPrompt) -> tuple[Message, ...]:
    """System and examples."""
    messages = [Message("system", prompt.system)]
    for found in prompt.examples.values():
        for one in found.excerpts[: prompt.excerpts_per_example]:
            pairs = example(one.tokens, prompt.highest)
            messages.append(Message("user", question(found.explanations[0], [token for token, _ in pairs], prompt)))
            messages.append(Message("assistant", answer(pairs, prompt)))
    return tuple(messages)


def question(explanation: str, tokens: list[str], prompt: GeneratedPrompt) -> str:
    """The explanation and the tokens of one excerpt."""
    listed = json.dumps(tokens, ensure_ascii=False) if prompt.answer == "json" else "\n".join(tokens)
    return fill(prompt.question, explanation=one_line(explanation), tokens=listed)


def answer(pairs: list[tuple[str, int]], prompt: GeneratedPrompt) -> str:
    """What a right answer looks like."""
    if prompt.answer == "json":
        return json.dumps({"levels": [{"token": token, "level": level} for token, level in pairs]}, ensure_ascii=False)
    return "\n".join(f"{token}\t{level}" for token, level in pairs)


def schema(highest: int) -> str:
    """The JSON schema of an answer."""
    level = {"type": "integer", "minimum": 0, "maximum": highest}
    pair = {"type": "object", "properties": {"token": {"type": "string"}, "level": level}}
    whole = {"type": "object", "properties": {"levels": {"type": "array", "items": strict(pair)}}}
    return json.dumps(strict(whole))


def strict(value: dict[str, Any]) -> dict[str, Any]:
    """An object that has all its properties and no other."""
    return {**value, "required": list(value["properties"]), "additionalProperties": False}


def read(reply: Reply | ProviderError, tokens: list[str], prompt: GeneratedPrompt, logprobs: bool = False) -> Found:
    """Levels (token) on the scale 0..10, in two ways where log-probabilities were asked for, or why there are none."""
    if isinstance(reply, ProviderError):
        return Status(reply.status)
    if reply.finish_reason == "content_filter":
        return Status.REFUSED
    places = json_places(reply.text, tokens) if prompt.answer == "json" else line_places(reply.text, tokens)
    if places is None:
        return Status.REFUSED if refused(reply.text) else Status.CUT_OFF if reply.finish_reason == "length" else Status.UNPARSABLE
    written = [int(reply.text[start:end]) for start, end in places]
    if max(written) > prompt.highest:
        return Status.UNPARSABLE
    found = np.array([scaled(level, prompt.highest) for level in written])
    if not logprobs:
        return found
    expected = [level for level in expected_levels(reply, [start for start, _ in places], prompt.highest) if level is not None]
    return ReadTwice(np.array(expected) if len(expected) == len(found) else None, found)


def line_places(text: str, tokens: list[str]) -> list[tuple[int, int]] | None:
    """Where the levels stand in lines of token and level; None unless the tokens come back one after the other, and nothing between them.

    Empty lines and lines before the first and after the last are let pass. Blanks around a token do not matter: models lose them.
    """
    lines, start = [], 0
    for line in text.split("\n"):
        if line.strip():
            lines.append((start, line))
        start += len(line) + 1
    for first in range(len(lines) - len(tokens) + 1):
        found = [level_place(*lines[first + place], token) for place, token in enumerate(tokens)]
        if None not in found:
            return [place for place in found if place is not None]
    return None


def level_place(start: int, line: str, token: str) -> tuple[int, int] | None:
    """Where the level stands in a line that begins with the token."""
    for opening in (token, token.strip()):
        skipped = 0 if line.startswith(opening) else len(line) - len(line.lstrip())
        found = LEVEL.match(line, skipped + len(opening)) if line.startswith(opening, skipped) else None
        if found:
            group = 1 if found[1] is not None else 2
            return start + found.start(group), start + found.end(group)
    return None


def json_places(text: str, tokens: list[str]) -> list[tuple[int, int]] | None:
    """Where the levels stand in the JSON of an answer; None unless its tokens are the tokens, in order, each with a whole number."""
    start, end = text.find("{"), text.rfind("}")
    try:
        value = json.loads(text[start : end + 1])
    except (ValueError, RecursionError):
        return None
    pairs = value.get("levels") if isinstance(value, dict) else None
    if not isinstance(pairs, list) or len(pairs) != len(tokens) or not tokens:
        return None
    found = [match.span(1) for match in JSON_LEVEL.finditer(text, start, end)]
    if len(found) != len(tokens):
        return None
    for pair, token, (begin, stop) in zip(pairs, tokens, found, strict=True):
        if not isinstance(pair, dict) or not isinstance(pair.get("token"), str) or not same(pair["token"], token):
            return None
        if type(pair.get("level")) is not int or pair["level"] != int(text[begin:stop]):
            return None
    return found


def same(said: str, token: str) -> bool:
    """Whether a model means this token: blanks around it do not matter, nor whether it wrote an escaped character or the character."""
    return token.strip() in (said.strip(), shown(said.encode("utf-8", errors="surrogatepass")).strip())


def expected_levels(reply: Reply, places: list[int], highest: int) -> list[float | None]:
    """The expected level at each place; None where the tokens of the answer do not tell, or a token holds more than the level."""
    unknown: list[float | None] = [None] * len(places)
    if "".join(token.token for token in reply.tokens) != reply.text:
        return unknown
    starts, start = {}, 0
    for token in reply.tokens:
        starts[start] = token
        start += len(token.token)
    whole = {str(level) for level in range(highest + 1)}
    found = (starts.get(place) for place in places)
    return [expected_level(token.alternatives, highest) if token and token.token in whole else None for token in found]
