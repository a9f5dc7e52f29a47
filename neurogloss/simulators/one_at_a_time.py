"""Simulate one token after the other (Bills et al. 2023, for comparison): the text up to a token, and what level it has.

As many requests as tokens. The expected level is read from the alternatives of the one token generated, or where these are not offered
the level itself, which is also what is read of all answers about a neuron where any of them lacks the alternatives.
"""

import numpy as np
from jaxtyping import Int

from neurogloss.artifacts.recordings import Recordings
from neurogloss.artifacts.status import FailureLimit, Status
from neurogloss.config.models import ModelParams
from neurogloss.config.prompts import OneAtATimePrompt, excerpt, fill
from neurogloss.errors import ProviderError
from neurogloss.llm.escape import shown
from neurogloss.llm.logprobs import alternatives_for
from neurogloss.llm.request import Client, Message, Reply, Request, model_id
from neurogloss.simulators.asking import Asked, Found, ReadTwice, ask_excerpts
from neurogloss.simulators.reading import capped, expected_level, levels_up_to, one_line, scaled
from neurogloss.simulators.result import SimulatedLevels


def simulate(  # the interface of all simulators
    recordings: Recordings,
    rows: Int[np.ndarray, " row"],
    slots: Int[np.ndarray, " place"],
    texts: list[str | None],
    client: Client,
    prompt: OneAtATimePrompt,
    model: ModelParams,
    limit: FailureLimit | None = None,
) -> SimulatedLevels:
    """The expected level of each token of these excerpts of these neurons; `texts` are their explanations."""
    opening = opening_of(prompt)
    alternatives = alternatives_for(model, prompt.alternatives) if prompt.alternatives and client.offers("top_logprobs") else 0

    def asked(text: str, excerpts: list[list[bytes]]) -> Asked:
        (pieces,) = excerpts
        number = len(prompt.examples) + 1
        questions = [Message("user", question(text, pieces[: place + 1], number, prompt)) for place in range(len(pieces))]
        requests = [
            Request(
                provider=model.provider,
                model=model_id(model),
                messages=(*opening, last) if prompt.form == "chat" else (),
                prompt="" if prompt.form == "chat" else as_text((*opening, last)),
                max_tokens=1,
                top_logprobs=alternatives,
            )
            for last in questions
        ]
        return Asked(requests, lambda replies: [read(replies, prompt, alternatives > 0)])

    return ask_excerpts(recordings, rows, slots, texts, client, asked, limit=limit)


def opening_of(prompt: OneAtATimePrompt) -> tuple[Message, ...]:
    """System and examples, each question with its level."""
    messages = [Message("system", prompt.system)]
    for number, found in enumerate(prompt.examples.values(), 1):
        for one in found.excerpts:
            pieces, levels = excerpt(one.tokens)
            for place in one.asked:
                messages.append(Message("user", question(found.explanations[0], pieces[: place + 1], number, prompt)))
                messages.append(Message("assistant", str(capped(levels, prompt.highest)[place])))
    return tuple(messages)


def question(explanation: str, pieces: list[bytes], number: int, prompt: OneAtATimePrompt) -> str:
    """A text up to the token asked about."""
    text, token = shown(b"".join(pieces)), shown(pieces[-1])
    return fill(prompt.question, explanation=one_line(explanation), number=str(number), text=text, token=token)


def as_text(messages: tuple[Message, ...]) -> str:
    """The turns as one text: a tab between question and level, an empty line after each level."""
    return "".join(message.content + ("\t" if message.role == "user" else "\n\n") for message in messages)


def read(replies: list[Reply | ProviderError], prompt: OneAtATimePrompt, logprobs: bool) -> Found:
    """Levels (token) on the scale 0..10, in two ways where log-probabilities were asked for, or why the first missing one is missing."""
    failed = next((status for reply in replies if (status := failure_of(reply))), None)
    given = [reply for reply in replies if isinstance(reply, Reply)]
    if failed:
        return failed
    written = [written_level(reply, prompt.highest) for reply in given]
    if not logprobs:
        return levels_of(written)
    complete = all(reply.tokens for reply in given)
    expected = levels_of([expected_level(reply.tokens[0].alternatives, prompt.highest) for reply in given]) if complete else None
    if isinstance(expected, Status):
        return expected
    found = levels_of(written)
    return ReadTwice(expected, None if isinstance(found, Status) else found)


def failure_of(reply: Reply | ProviderError) -> Status | None:
    """Why there is no answer; None where there is one."""
    if isinstance(reply, ProviderError):
        return Status(reply.status)
    return Status.REFUSED if reply.finish_reason == "content_filter" else None


def written_level(reply: Reply, highest: int) -> float | None:
    """The level of one token as it is written; None where it is none."""
    written = reply.text.strip()
    return scaled(int(written), highest) if written in levels_up_to(highest) else None


def levels_of(levels: list[float | None]) -> np.ndarray | Status:
    """The levels of all tokens; UNPARSABLE where any is missing."""
    known = [level for level in levels if level is not None]
    return np.array(known) if len(known) == len(levels) else Status.UNPARSABLE
