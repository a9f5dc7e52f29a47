"""Put one question, or several, for each excerpt of each neuron, some neurons at a time, and gather the levels."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int
from tqdm import tqdm

from neurogloss.artifacts.recordings import Recordings
from neurogloss.artifacts.status import Status
from neurogloss.errors import ProviderError
from neurogloss.llm.request import Client, Reply, Request
from neurogloss.simulators.result import SimulatedLevels, blank, put

AT_ONCE = 4096
"""Requests held in memory, about."""


@dataclass(frozen=True)
class Asked:
    """What is asked about one excerpt, and how the answers become levels (token) or the reason why not."""

    requests: list[Request]
    read: Callable[[list[Reply | ProviderError]], np.ndarray | Status]
    again: Callable[[Status], list[Request]] = lambda status: []
    """The requests of a second try, or none."""


def ask_excerpts(
    recordings: Recordings,
    rows: Int[np.ndarray, " row"],
    slots: Int[np.ndarray, " place"],
    texts: list[str | None],
    client: Client,
    asked: Callable[[str, list[bytes]], Asked],
) -> SimulatedLevels:
    """Levels of every excerpt of the neurons that have an explanation. `asked` gets the explanation and the bytes of the tokens."""
    if len(rows) != len(texts):
        raise ValueError(f"{len(rows)} neurons but {len(texts)} explanations")
    result = blank(len(rows), len(slots), recordings.corpus.shape[1], Status.NO_EXPLANATION)
    pending: list[tuple[int, int, Asked]] = []
    for neuron, (row, text) in enumerate(tqdm(list(zip(rows, texts, strict=True)), "simulating", unit="neuron", delay=5)):
        if text is None:
            continue
        for place, tokens in enumerate(recordings.tokens(int(row), slots)):
            pending.append((neuron, place, asked(text, [recordings.vocabulary[token] for token in tokens])))
        if sum(len(one.requests) for _, _, one in pending) >= AT_ONCE:
            answer(pending, client, result)
            pending = []
    answer(pending, client, result)
    return result


def answer(pending: list[tuple[int, int, Asked]], client: Client, result: SimulatedLevels) -> None:
    """Ask, ask once more where that is allowed, and put the levels in their places."""
    found = read(client, [(one.requests, one) for _, _, one in pending], "simulating")
    second = [
        (index, requests)
        for index, (levels, (_, _, one)) in enumerate(zip(found, pending, strict=True))
        if isinstance(levels, Status) and (requests := one.again(levels))
    ]
    if second:
        tried = read(client, [(requests, pending[index][2]) for index, requests in second], "asking again")
        for (index, _), levels in zip(second, tried, strict=True):
            found[index] = levels
    for (neuron, place, _), levels in zip(pending, found, strict=True):
        put(result, neuron, place, levels)


def read(client: Client, questions: list[tuple[list[Request], Asked]], title: str) -> list[np.ndarray | Status]:
    """Ask everything in one go; the levels of each excerpt."""
    flat = [request for requests, _ in questions for request in requests]
    replies = iter(client.ask(flat, title) if flat else [])
    return [one.read([next(replies) for _ in requests]) for requests, one in questions]
