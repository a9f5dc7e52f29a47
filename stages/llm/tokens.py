"""How many tokens a text is, as the model counts them, and a bound where nobody here can count."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from stages.llm.request import Request
from stages.params import ModelParams

PER_MESSAGE = 4
"""Tokens that a chat template adds to each message, as OpenAI's does; others differ by a few."""
DOWNLOAD_S = 20.0
"""tiktoken fetches its tables at first use, without a time limit of its own."""


@dataclass(frozen=True, slots=True)
class TokenCounter:
    """Counts tokens."""

    count: Callable[[str], int]
    exact: bool
    described: str
    """How it counts, for a person: an estimate says so."""

    def prompt(self, request: Request) -> int:
        """Tokens of a request's prompt."""
        if request.prompt:
            return self.count(request.prompt)
        return sum(self.count(message.content) + PER_MESSAGE for message in request.messages) + 3

    def bound(self, request: Request) -> int:
        """At least as many tokens as the prompt has: a token of any byte-level tokenizer is a byte at least."""
        if self.exact:
            return self.prompt(request) + 16
        texts = [request.prompt] if request.prompt else [message.content for message in request.messages]
        return sum(len(text.encode("utf-8", errors="surrogatepass")) + 16 for text in texts) + 16


ESTIMATE = TokenCounter(lambda text: -(-len(text) // 4), False, "an estimate, a token for four characters")


def counter(model: ModelParams) -> TokenCounter:
    """The model's own count where its tokenizer can be had, else an estimate."""
    if model.provider == "local":
        from stages.llm.providers.local import count_tokens

        return TokenCounter(count_tokens(model), True, "the model's own tokenizer")
    return openai_counter(model.name) if model.provider == "openai" else ESTIMATE


def openai_counter(model: str) -> TokenCounter:
    """tiktoken's count for an OpenAI model, where its tables are here or can be fetched; else the estimate."""
    import tiktoken

    try:
        name = tiktoken.encoding_name_for_model(model)
    except KeyError:
        return ESTIMATE
    found: list[tiktoken.Encoding] = []

    def fetch() -> None:
        try:
            found.append(tiktoken.get_encoding(name))
        except (OSError, ValueError, RuntimeError):
            # No way to the tables, or half a file: the estimate has to do.
            return

    thread = threading.Thread(target=fetch, daemon=True)
    thread.start()
    thread.join(DOWNLOAD_S)
    if not found:
        return ESTIMATE
    encoding = found[0]
    return TokenCounter(lambda text: len(encoding.encode(text, disallowed_special=())), True, f"tiktoken {name}")
