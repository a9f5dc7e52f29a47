"""Echoes: what could stand in a prompt instead of what does."""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from neurogloss.llm.local.prefixes import Place, Prefixes, common, copied
from neurogloss.llm.local.text import Ids, IncrementalText
from neurogloss.llm.logprobs import least_of
from neurogloss.llm.request import Reply, Request, TokenLogprobs, Usage


@dataclass(frozen=True, slots=True)
class Spot:
    """One occurrence of the echoed text."""

    token: int
    """The token that holds its first character; what is before it predicts it."""
    lead: str
    """What this token holds before that character: a tokenizer may have merged the two."""


@dataclass(frozen=True, slots=True)
class Echo:
    """A request with its tokens and where it is to be echoed."""

    request: Request
    ids: Ids
    spots: list[Spot]


def read_echo(request: Request, words: IncrementalText) -> Echo:
    """Find every occurrence by its characters; the text is never cut before it is made into tokens."""
    ids, spans = words.spell(request.prompt)
    real = [(end, start, token) for token, (start, end) in enumerate(spans) if end > start]
    ends = [end for end, _, _ in real]
    spots = []
    for place in find_occurrences(request.prompt, request.echo, request.echo_from):
        _, start, token = real[bisect_right(ends, place)]
        spots.append(Spot(token, request.prompt[start:place]))
    return Echo(request, ids, spots)


def find_occurrences(text: str, wanted: str, start: int) -> Iterator[int]:
    """Where a text stands in another, without overlaps, from `start` on.

    >>> list(find_occurrences("abab ab", "ab", 1))
    [2, 5]
    """
    place = text.find(wanted, start)
    while place >= 0:
        yield place
        place = text.find(wanted, place + len(wanted))


def answer_echoes(echoes: list[Echo], prefixes: Prefixes, words: IncrementalText, memory: int) -> list[Reply]:
    """Answers to echoes that have a beginning in common, in their order; `memory` in bytes bounds how many go at once."""
    length = min(shared_length(echoes[0], echo) for echo in echoes)
    prefix = prefixes.shared(echoes[0].ids[:length])
    order = sorted(range(len(echoes)), key=lambda i: len(echoes[i].ids))
    replies: dict[int, Reply] = {}
    for rows in batches([echoes[i] for i in order], order, length, prefixes, memory):
        batch = [echoes[i] for i in rows]
        rests = [echo.ids[length:] for echo in batch]
        ids = torch.zeros((len(rests), max(len(rest) for rest in rests)), dtype=torch.long)
        for row, rest in enumerate(rests):
            ids[row, : len(rest)] = torch.tensor(rest)  # Padded at the right, where nothing looks at it.
        wanted = [Place(row, spot.token - 1 - length) for row, echo in enumerate(batch) for spot in echo.spots if spot.token]
        logits, _ = prefixes.forward(ids, copied(prefix, len(batch)), wanted or [Place(0, 0)])
        found = iter(words.alternatives(logits, max(echo.request.top_logprobs for echo in batch)))
        for i, echo in zip(rows, batch, strict=True):
            tokens = tuple(spoken(echo, spot, next(found) if spot.token else {}, words) for spot in echo.spots)
            replies[i] = Reply("", "stop", tokens, Usage(len(echo.ids), length, 0))
    return [replies[i] for i in range(len(echoes))]


def shared_length(first: Echo, echo: Echo) -> int:
    """Tokens in common that can be computed apart: the last token, and the one before the first spot, stay in the rest."""
    before = min((spot.token - 1 for spot in echo.spots if spot.token), default=len(echo.ids) - 1)
    return max(0, min(common(first.ids, echo.ids), len(echo.ids) - 1, before))


def batches(echoes: list[Echo], order: list[int], length: int, prefixes: Prefixes, memory: int) -> Iterator[list[int]]:
    """Some rows at a time, alike in length."""
    per_token = prefixes.bytes_per_token()
    rows: list[int] = []
    for i, echo in zip(order, echoes, strict=True):
        # Keys and values, and the logits twice.
        each = len(echo.ids) * per_token + 8 * prefixes.vocabulary * len(echo.spots)
        if rows and (len(rows) + 1) * each > memory:
            yield rows
            rows = []
        rows.append(i)
    if rows:
        yield rows


def spoken(echo: Echo, spot: Spot, alternatives: dict[str, float], words: IncrementalText) -> TokenLogprobs:
    """A spot, without what its token holds before it."""
    token = words.piece(echo.ids[spot.token])
    alternatives = best(alternatives, echo.request.top_logprobs)
    least = least_of(token, alternatives)
    if not spot.lead:
        return TokenLogprobs(token, alternatives, least)
    within = {text[len(spot.lead) :]: value for text, value in alternatives.items() if text.startswith(spot.lead)}
    return TokenLogprobs(token.removeprefix(spot.lead), within, least)


def best(alternatives: dict[str, float], most: int) -> dict[str, float]:
    """The likeliest of them."""
    return dict(sorted(alternatives.items(), key=lambda item: -item[1])[:most])
