"""Put one question, or several, for each excerpt of each neuron, some neurons at a time, and gather the levels."""

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from jaxtyping import Int
from tqdm import tqdm

from neurogloss.artifacts.recordings import Recordings
from neurogloss.artifacts.status import FailureLimit, Status
from neurogloss.errors import ProviderError
from neurogloss.llm.request import Client, Reply, Request
from neurogloss.simulators.result import SimulatedLevels, blank, put

AT_ONCE = 4096
"""Requests held in memory, about."""
TRIAL = 16
"""Second tries of which one must mend something before the others are asked."""


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
    limit: FailureLimit | None = None,
) -> SimulatedLevels:
    """Levels of every excerpt of the neurons that have an explanation.

    `asked` gets the explanation and, of at most `together` excerpts, the bytes of the tokens. `limit` is told of each failure for good.
    """
    if len(rows) != len(texts):
        raise ValueError(f"{len(rows)} neurons but {len(texts)} explanations")
    result = blank(len(rows), len(slots), recordings.corpus.shape[1], Status.NO_EXPLANATION)
    pending: list[Pending] = []
    for neuron, (row, text) in enumerate(tqdm(list(zip(rows, texts, strict=True)), "simulating", unit="unit", delay=5)):
        if text is None:
            continue
        excerpts = [[recordings.vocabulary[token] for token in tokens] for tokens in recordings.tokens(int(row), slots)]
        for start in range(0, len(excerpts), together):
            part = excerpts[start : start + together]
            pending.append(Pending(neuron, range(start, start + len(part)), asked(text, part)))
        if sum(len(one.asked.requests) for one in pending) >= AT_ONCE:
            answer(pending, client, result, limit)
            pending = []
    answer(pending, client, result, limit)
    return result


def worth_another(found: list[Found]) -> bool:
    """Whether a second try may mend what the first one failed: a refusal would be repeated, what is cut off would be cut off again."""
    return any(one is Status.UNPARSABLE for one in found if isinstance(one, Status))


class Pending(NamedTuple):
    """Excerpts of a neuron with what is asked about them."""

    neuron: int
    places: range
    asked: Asked


def answer(pending: list[Pending], client: Client, result: SimulatedLevels, limit: FailureLimit | None) -> None:
    """Ask, ask once more where that is allowed, and put the levels in their places."""

    def failed_for_good(one: Asked, found: list[Found]) -> None:
        if not one.again(found):
            count(limit, found)

    found = read(client, [(one.asked.requests, one.asked) for one in pending], "simulating", failed_for_good)
    ask_again(pending, found, client, limit)
    result.written[[one.neuron for one, part in zip(pending, found, strict=True) if any(map(lacks_logprobs, part))]] = True
    for one, part in zip(pending, found, strict=True):
        for place, levels in zip(one.places, part, strict=True):
            put(result, one.neuron, place, settled(levels, bool(result.written[one.neuron])))


def ask_again(pending: list[Pending], found: list[list[Found]], client: Client, limit: FailureLimit | None) -> None:
    """Second tries, some first: where they mend nothing, the others are not asked. What is mended is put into `found`."""
    second = [(index, requests) for index, one in enumerate(pending) if (requests := one.asked.again(found[index]))]
    for part in (second[:TRIAL], second[TRIAL:]):
        tried = read(client, [(requests, pending[index].asked) for index, requests in part], "asking again")
        before = sum(isinstance(one, Status) for index, _ in part for one in found[index])
        for (index, _), later in zip(part, tried, strict=True):
            found[index] = [after if isinstance(first, Status) else first for first, after in zip(found[index], later, strict=True)]
        if before == sum(isinstance(one, Status) for index, _ in part for one in found[index]):
            break
    for index, _ in second:
        count(limit, found[index])


def count(limit: FailureLimit | None, found: list[Found]) -> None:
    """Count the excerpts of a question that have no levels."""
    for one in found:
        if limit is not None and isinstance(one, Status):
            limit.add(one)


def lacks_logprobs(found: Found) -> bool:
    """Whether an answer came without the log-probabilities that were asked for."""
    return isinstance(found, ReadTwice) and found.expected is None


def settled(found: Found, written: bool) -> np.ndarray | Status:
    """All excerpts of a neuron are read in the same way: as `written` where the log-probabilities of any are missing."""
    if not isinstance(found, ReadTwice):
        return found
    levels = found.written if written else found.expected
    return Status.UNPARSABLE if levels is None else levels


def read(
    client: Client,
    questions: list[tuple[list[Request], Asked]],
    title: str,
    then: Callable[[Asked, list[Found]], None] = lambda asked, found: None,
) -> list[list[Found]]:
    """Ask everything in one go; what is found of the excerpts of each question. `then` hears of each as soon as its answers are there."""
    flat = [request for requests, _ in questions for request in requests]
    starts = list(accumulate((len(requests) for requests, _ in questions), initial=0))
    waiting: dict[int, list[Reply | ProviderError | None]] = {}
    found: dict[int, list[Found]] = {}

    def arrived(place: int, said: Reply | ProviderError) -> None:
        index = bisect_right(starts, place) - 1
        requests, asked = questions[index]
        replies = waiting.setdefault(index, [None] * len(requests))
        replies[place - starts[index]] = said
        given = [reply for reply in replies if reply is not None]
        if len(given) == len(requests):
            del waiting[index]
            found[index] = asked.read(given)
            then(asked, found[index])

    answers = client.ask(flat, title, arrived) if flat else []
    return [
        found[index] if index in found else asked.read(answers[starts[index] : starts[index + 1]])
        for index, (_, asked) in enumerate(questions)
    ]
