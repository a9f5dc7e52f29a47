"""Requests and model params that the tests ask with."""

from typing import Any

from neurogloss.config.endpoints import Price
from neurogloss.config.models import ModelParams
from neurogloss.llm.request import Message, Request


def model(**changed: Any) -> ModelParams:
    values: dict[str, Any] = {
        "provider": "openai",
        "name": "gpt-test",
        "revision": None,
        "sha256": None,
        "dtype": "float32",
        "context": 4096,
        "base_url_from": None,
        "key_from": None,
        "capabilities": None,
        "price": Price(prompt=2.0, cached_prompt=1.0, completion=8.0),
    }
    return ModelParams(**(values | changed))


def question(text: str, **changed: Any) -> Request:
    values: dict[str, Any] = {"provider": "openai", "model": "gpt-test", "messages": (Message("user", text),), "max_tokens": 20}
    return Request(**(values | changed))


def questions(count: int) -> list[Request]:
    return [question(f"question {number}") for number in range(count)]
