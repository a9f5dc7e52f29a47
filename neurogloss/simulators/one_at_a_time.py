"""Simulate one token after the other (Bills et al. 2023, for comparison): the text up to a token, and what level it has.

As many requests as tokens. The expected level is read from the alternatives of the one token generated, or where there are none
the level itself.
"""

import numpy as np
from jaxtyping import Int

from neurogloss.artifacts.recordings import Recordings
from neurogloss.artifacts.status import Status
from neurogloss.config.models import ModelParams
from neurogloss.config.prompts import OneAtATimePrompt, excerpt, fill
from neurogloss.errors import ProviderError
from neurogloss.llm.escape import shown
from neurogloss.llm.logprobs import alternatives_for
from neurogloss.llm.request import Client, Message, Reply, Request, model_id
from neurogloss.simulators.asking import Asked, ask_excerpts
from neurogloss.simulators.reading import capped, expected_level, one_line, scaled
from neurogloss.simulators.result import SimulatedLevels


def simulate(  # the interface of all simulators
    recordings: Recordings,
    rows: Int[np.ndarray, " row"],
    slots: Int[np.ndarray, " place"],
    texts: list[str | None],
    client: Client,
    prompt: OneAtATimePrompt,
    model: ModelParams,
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
        return Asked(requests, lambda replies: [read(replies, prompt)])

    return ask_excerpts(recordings, rows, slots, texts, client, asked)


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


def read(replies: list[Reply | ProviderError], prompt: OneAtATimePrompt) -> np.ndarray | Status:
    """Levels (token) on the scale 0..10, or why the first that is missing is missing."""
    levels = [level_of(reply, prompt) for reply in replies]
    failed = next((level for level in levels if isinstance(level, Status)), None)
    return np.array([level for level in levels if not isinstance(level, Status)]) if failed is None else failed


def level_of(reply: Reply | ProviderError, prompt: OneAtATimePrompt) -> float | Status:
    """The level of one token."""
    if isinstance(reply, ProviderError):
        return Status(reply.status)
    if reply.finish_reason == "content_filter":
        return Status.REFUSED
    if reply.tokens:
        found = expected_level(reply.tokens[0].alternatives, prompt.highest)
        return Status.UNPARSABLE if found is None else found
    written = reply.text.strip()
    if written not in {str(level) for level in range(prompt.highest + 1)}:
        return Status.UNPARSABLE
    return scaled(int(written), prompt.highest)
