"""How many tokens a text is, as the model counts them, and a bound where nobody here can count."""

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass

from neurogloss.config.models import ModelParams
from neurogloss.llm.request import Request

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
        return sum(self.count(message.content) + PER_MESSAGE for message in request.messages) + self.count(request.json_schema) + 3

    def bound(self, request: Request) -> int:
        """At least as many tokens as the prompt has: a token of any byte-level tokenizer is a byte at least."""
        if self.exact:
            return self.prompt(request) + 16
        texts = [request.prompt] if request.prompt else [message.content for message in request.messages] + [request.json_schema]
        return sum(len(text.encode("utf-8", errors="surrogatepass")) + 16 for text in texts) + 16


PIECES = re.compile(r" ?[A-Za-z]+|[^\x00-\x7f]+|\d|\n+|\t| ?[^\w\s]{1,2}| +|[\s_]")


def estimate(text: str) -> int:
    """About as many tokens as a byte-level tokenizer of 50,000 makes, rather more than fewer: words, digits, signs, tabs and line ends.

    A token for four characters, the usual estimate, is half of what excerpts with levels take.

    >>> estimate(" ferry\\t8\\n tug\\t9"), estimate("the harbour, internationally"), estimate("\u6f22\u5b57")
    (7, 8, 2)
    """
    return sum(map(tokens_of, PIECES.findall(text)))


def tokens_of(piece: str) -> int:
    """Of one word or sign."""
    if piece.isascii():
        return 1 if len(piece) <= 7 or not piece.strip() else -(-len(piece) // 5)
    return -(-len(piece.encode("utf-8", errors="surrogatepass")) // 3)


ESTIMATE = TokenCounter(estimate, False, "an estimate from its words and signs")


def fitting(model: ModelParams) -> Callable[[str], int]:
    """How many tokens a text is, for making a prompt fit: the same on every machine, since it decides what a prompt holds."""
    return counter(model).count if model.provider == "local" else estimate


def counter(model: ModelParams) -> TokenCounter:
    """The model's own count where its tokenizer can be had, else an estimate."""
    if model.provider == "local":
        from neurogloss.llm.local.provider import count_tokens

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
