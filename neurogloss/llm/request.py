"""What is asked of a language model, and what comes back.

`Request` holds everything that can change the answer and nothing else: it is the cache key.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Literal, Protocol

from neurogloss.artifacts.status import Status
from neurogloss.config.models import ModelParams
from neurogloss.errors import ProviderError


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Request:
    """One question. Exactly one of `messages` (chat) and `prompt` (completion) is given."""

    provider: str
    model: str
    """Name and, where there is one, revision or sha256 of the weights."""
    messages: tuple[Message, ...] = ()
    prompt: str = ""
    temperature: float = 0.0
    max_tokens: int = 0
    """Tokens to generate; 0 with `echo` reads the prompt only."""
    sample: int = 0
    """Tells apart answers to the same question where the temperature is above zero."""
    stop: tuple[str, ...] = ()
    top_logprobs: int = 0
    """So many alternatives per generated token (chat), or per echoed position."""
    echo: str = ""
    """Report the alternatives wherever this text occurs in the prompt after `echo_from`: what could stand instead of its first token.

    Of them the client keeps the levels 0 to 10 (`neurogloss.llm.logprobs`).
    """
    echo_from: int = 0
    """Character offset in `prompt` from which `echo` counts."""
    json_schema: str = ""
    """A JSON schema (as text) the answer must follow, where the endpoint offers it."""

    def __post_init__(self) -> None:
        if bool(self.messages) == bool(self.prompt):
            raise ValueError("a request has messages or a prompt, not both, not neither")

    @property
    def key(self) -> str:
        """sha256 of the whole request as canonical JSON."""
        text = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class TokenLogprobs:
    """A generated token, or an echoed position, with its alternatives."""

    token: str
    alternatives: dict[str, float]
    """Text of the alternative -> natural log of its probability."""
    least: float | None = None
    """No text that was not among the alternatives has a larger one; None where that is not known."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the provider counts them."""

    prompt: int = 0
    cached_prompt: int = 0
    """Of `prompt`, read from the provider's prefix cache."""
    completion: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete answer. `text` is empty for an echo."""

    text: str
    finish_reason: str = "stop"
    tokens: tuple[TokenLogprobs, ...] = ()
    """Generated tokens where `top_logprobs` was asked, echoed positions where `echo` was."""
    usage: Usage = Usage()


class PaidError(ProviderError):
    """A whole answer that was paid for but cannot be used, such as a refusal. Asking again would only pay again."""

    def __init__(self, status: str, message: str, usage: Usage, text: str = "") -> None:
        super().__init__(status, message)
        self.usage = usage
        self.text = text
        """What the model said, for a person to read; never parsed."""


Answer = Reply | ProviderError
Capability = Literal["echo", "top_logprobs", "json_schema"]
"""What only some endpoints can do: log-probabilities of the prompt, of the answer, and answers that follow a JSON schema."""


Came = Callable[[int, Answer], object]
"""Called with a request's position and its answer, in the order in which they are there. A client that only plans never calls it."""


class Client(Protocol):
    """Answers many requests. The answers keep the order of the questions; only ProviderError becomes a value."""

    def offers(self, capability: Capability) -> bool:
        """Whether the model can do this; found out by one small question, once, where the params do not say it."""
        ...

    def ask(self, requests: list[Request], title: str, arrived: "Came | None" = None) -> list[Reply | ProviderError]:
        """`title` names the progress bar. `arrived` may end it by a UserError; what is under way then is awaited and kept."""
        ...


def failure(status: Status, message: str) -> ProviderError:
    """A ProviderError with its status."""
    return ProviderError(str(status), message)


def model_id(model: ModelParams) -> str:
    """What `Request.model` says: name, weights and, for a model in this process, their type, for one at an endpoint, which and `extra`.

    The address itself is no part of it: who has the replies needs no endpoint.
    """
    weights = model.revision or model.sha256
    name = f"{model.name}@{weights}" if weights else model.name
    if model.remote and model.base_url_from:
        name = f"{name} at {model.base_url_from}"
    if model.extra:
        name = f"{name} with {json.dumps(model.extra, sort_keys=True, separators=(',', ':'))}"
    return f"{name} {model.dtype}" if model.provider == "local" else name
