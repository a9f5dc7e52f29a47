"""What is kept of the log-probabilities of an echoed prompt: those of the levels, and a bound on all that is not listed.

A local model lists 1,000 alternatives for each token, 84 kB in memory; the levels among them are 1 kB.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from neurogloss.config.models import ModelParams
from neurogloss.llm.request import Answer, Reply, Request, TokenLogprobs

LEVELS = tuple(str(level) for level in range(11))
DECIMALS = 6
"""Of a log-probability that is kept; a level does not depend on more."""
MOST_LOGPROBS = 20
"""What endpoints give per token unless they are set up otherwise."""


def alternatives_for(model: ModelParams, wanted: int) -> int:
    """How many alternatives to ask for: an endpoint gives no more than `models.*.logprobs` says."""
    return min(wanted, model.logprobs or MOST_LOGPROBS) if model.remote else wanted


def least_of(token: str, alternatives: Mapping[str, float]) -> float | None:
    """The log-probability below which everything lies that is not listed; None where nothing but the token itself is.

    Some endpoints list the token of the prompt beside the likeliest ones, however unlikely it is, so it bounds nothing.

    >>> least_of("unknown", {"0": -0.1, "9": -3.0, "unknown": -17.0})
    -3.0
    """
    return min((value for text, value in alternatives.items() if text != token), default=None)


AnyAnswer = TypeVar("AnyAnswer", bound=Answer)


def levels_only(request: Request, answer: AnyAnswer) -> AnyAnswer:
    """A reply to an echo, of which no more is kept than levels need; any other answer as it is. A second time changes nothing."""
    if not request.echo or not isinstance(answer, Reply):
        return answer
    return replace(answer, tokens=tuple(map(levels_of, answer.tokens)))


def levels_of(spot: TokenLogprobs) -> TokenLogprobs:
    """The levels among the alternatives, from 0 up."""
    least = spot.least if spot.least is not None else least_of(spot.token, spot.alternatives)
    found = {level: round(spot.alternatives[level], DECIMALS) for level in LEVELS if level in spot.alternatives}
    return TokenLogprobs(spot.token, found, None if least is None else round(least, DECIMALS))
