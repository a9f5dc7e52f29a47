"""What the language models of a stage cost, handed from the stage to whoever tracks it.

`.cache/usage/STAGE.json` under the repository, written when the stage's client closes, never an out of the pipeline
(it says what happened, which no param decides):

    schema, version      neurogloss.usage, 1
    stage, model         "explain", name under `models`
    requests             questions that got an answer or a status, repeated ones included
    cached               of these, answered from the cache of replies or by an equal question of the same run
    failed               {status: count} of the answers that were none
    paid, saved          {prompt, cached_prompt, completion}: tokens paid in this run, and tokens the cache saved
    cost_usd, saved_usd  the same in US dollars at the prices in `models`
    prefix_share         share of the paid prompt tokens that the provider read from its own prefix cache
    seconds              from the first question to the last answer
"""

from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from neurogloss.artifacts.files import read_json, write_json
from neurogloss.config import environment
from neurogloss.config.endpoints import Price
from neurogloss.llm.request import Answer, PaidError, Reply, Usage

SCHEMA, VERSION = "neurogloss.usage", 1
BATCH_PRICE = 0.5
"""Of the usual one, through OpenAI's batch API."""


@dataclass(slots=True)
class Tally:
    """What one client asked and paid so far."""

    requests: int = 0
    cached: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    paid: Usage = field(default_factory=Usage)
    saved: Usage = field(default_factory=Usage)
    cost_usd: float = 0.0
    saved_usd: float = 0.0
    seconds: float = 0.0


def total(one: Usage, other: Usage) -> Usage:
    """Sum of two usages."""
    return Usage(one.prompt + other.prompt, one.cached_prompt + other.cached_prompt, one.completion + other.completion)


def used(answer: Answer) -> Usage:
    """Tokens an answer was paid with; none for one that never came."""
    return answer.usage if isinstance(answer, Reply | PaidError) else Usage()


def cost_usd(usage: Usage, price: Price) -> float:
    """US dollars.

    >>> cost_usd(Usage(1_000_000, 400_000, 100_000), Price(prompt=2.0, cached_prompt=1.0, completion=8.0))
    2.4
    """
    fresh = usage.prompt - usage.cached_prompt
    return (fresh * price.prompt + usage.cached_prompt * price.cached_prompt + usage.completion * price.completion) / 1e6


def worst_usd(prompt_tokens: int, max_tokens: int, price: Price) -> float:
    """The most that one request can cost: nothing read from a prefix cache, the answer as long as it may be."""
    return cost_usd(Usage(prompt_tokens, 0, max(1, max_tokens)), price)


def usage_file(stage: str) -> Path:
    """Where a stage's report stands."""
    return environment.repository() / ".cache" / "usage" / f"{stage}.json"


def write_usage(stage: str, model: str, tally: Tally) -> None:
    """Write a stage's report."""
    share = tally.paid.cached_prompt / tally.paid.prompt if tally.paid.prompt else None
    # asdict would take a Counter apart and put it together wrongly.
    value = asdict(replace(tally, failed=Counter())) | {
        "failed": dict(tally.failed),
        "schema": SCHEMA,
        "version": VERSION,
        "stage": stage,
        "model": model,
        "prefix_share": share,
    }
    write_json(usage_file(stage), value)


def read_usage(stage: str) -> dict[str, Any] | None:
    """A stage's last report; None where the stage asked no model."""
    path = usage_file(stage)
    return read_json(path, SCHEMA, VERSION) if path.exists() else None
