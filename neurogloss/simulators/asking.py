"""Put one question, or several, for each excerpt of each neuron, some neurons at a time, and gather the levels."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

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


class ReadTwice(NamedTuple):
    """The levels (token) of an excerpt by log-probabilities and as they are written; None where a way is closed."""

    expected: np.ndarray | None
    written: np.ndarray | None


Found = np.ndarray | ReadTwice | Status
"""The levels (token) of an excerpt, or why there are none."""


@dataclass(frozen=True)
class Asked:
    """What is asked about some excerpts, and how the answers become what is found of each, in their order."""

    requests: list[Request]
    read: Callable[[list[Reply | ProviderError]], list[Found]]
    again: Callable[[list[Found]], list[Request]] = lambda found: []
    """The requests of a second try, or none; it counts for the excerpts that the first one failed."""


def ask_excerpts(
    recordings: Recordings,
    rows: Int[np.ndarray, " row"],
    slots: Int[np.ndarray, " place"],
    texts: list[str | None],
    client: Client,
    asked: Callable[[str, list[list[bytes]]], Asked],
    together: int = 1,
) -> SimulatedLevels:
    """Levels of every excerpt of the neurons that have an explanation.

    `asked` gets the explanation and, of at most `together` excerpts, the bytes of the tokens.
    """
    if len(rows) != len(texts):
        raise ValueError(f"{len(rows)} neurons but {len(texts)} explanations")
    result = blank(len(rows), len(slots), recordings.corpus.shape[1], Status.NO_EXPLANATION)
    pending: list[Pending] = []
    for neuron, (row, text) in enumerate(tqdm(list(zip(rows, texts, strict=True)), "simulating", unit="neuron", delay=5)):
        if text is None:
            continue
        excerpts = [[recordings.vocabulary[token] for token in tokens] for tokens in recordings.tokens(int(row), slots)]
        for start in range(0, len(excerpts), together):
            part = excerpts[start : start + together]
            pending.append(Pending(neuron, range(start, start + len(part)), asked(text, part)))
        if sum(len(one.asked.requests) for one in pending) >= AT_ONCE:
            answer(pending, client, result)
            pending = []
    answer(pending, client, result)
    return result


def worth_another(found: list[Found]) -> bool:
    """Whether a second try may mend what the first one failed; a refusal would be repeated."""
    return any(one in (Status.UNPARSABLE, Status.CUT_OFF) for one in found if isinstance(one, Status))


class Pending(NamedTuple):
    """Excerpts of a neuron with what is asked about them."""

    neuron: int
    places: range
    asked: Asked


def answer(pending: list[Pending], client: Client, result: SimulatedLevels) -> None:
    """Ask, ask once more where that is allowed, and put the levels in their places."""
    found = read(client, [(one.asked.requests, one.asked) for one in pending], "simulating")
    second = [(index, requests) for index, one in enumerate(pending) if (requests := one.asked.again(found[index]))]
    if second:
        tried = read(client, [(requests, pending[index].asked) for index, requests in second], "asking again")
        for (index, _), later in zip(second, tried, strict=True):
            found[index] = [after if isinstance(before, Status) else before for before, after in zip(found[index], later, strict=True)]
    result.written[[one.neuron for one, part in zip(pending, found, strict=True) if any(map(lacks_logprobs, part))]] = True
    for one, part in zip(pending, found, strict=True):
        for place, levels in zip(one.places, part, strict=True):
            put(result, one.neuron, place, settled(levels, bool(result.written[one.neuron])))


def lacks_logprobs(found: Found) -> bool:
    """Whether an answer came without the log-probabilities that were asked for."""
    return isinstance(found, ReadTwice) and found.expected is None


def settled(found: Found, written: bool) -> np.ndarray | Status:
    """All excerpts of a neuron are read in the same way: as `written` where the log-probabilities of any are missing."""
    if not isinstance(found, ReadTwice):
        return found
    levels = found.written if written else found.expected
    return Status.UNPARSABLE if levels is None else levels


def read(client: Client, questions: list[tuple[list[Request], Asked]], title: str) -> list[list[Found]]:
    """Ask everything in one go; what is found of the excerpts of each question."""
    flat = [request for requests, _ in questions for request in requests]
    replies = iter(client.ask(flat, title) if flat else [])
    return [one.read([next(replies) for _ in requests]) for requests, one in questions]
