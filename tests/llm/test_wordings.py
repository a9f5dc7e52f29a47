"""Every wording of the table, said by a server that goes on refusing until the request no longer holds what it refuses."""

import logging
import re
from typing import Any

import pytest

from neurogloss.errors import ProviderError, UserError
from neurogloss.llm.cache import Cache
from neurogloss.llm.client import open_client
from neurogloss.llm.openai.capabilities import KnownCapabilities
from neurogloss.llm.openai.faults import fault
from neurogloss.llm.openai.forms import ANY, forms_for
from neurogloss.llm.request import Answer, Message, Reply, Request
from tests.llm.asking import model
from tests.llm.server import Call, Play, Server
from tests.llm.wordings import OUTCOMES, WORDINGS, Wording

SERVICES = (
    "OpenAI, Azure, Anthropic, Gemini, xAI, Mistral, Groq, Together, OpenRouter, DeepSeek, Moonshot, Zhipu, DashScope, vLLM, SGLang, TGI,"
    " llama.cpp, Ollama, LM Studio, LiteLLM"
)
EVERYTHING = {"top_p": 0.9, "seed": 7}
REFUSED = "question 3"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-abc")
    monkeypatch.setattr("neurogloss.config.environment.answer_timeout_s", lambda: 2)


def request(number: int, **changed: Any) -> Request:
    """A request with everything that an endpoint can refuse."""
    messages = (Message("system", "Be brief."), Message("user", f"question {number}"))
    values: dict[str, Any] = {"max_tokens": 50_000, "stop": ("\n\n",), "top_logprobs": 20, "json_schema": '{"type": "object"}'}
    return Request("openai", "gpt-test", messages=messages, **(values | changed))


def refuses(wording: Wording, body: dict[str, Any]) -> bool:
    """Whether the service still finds what it refuses."""
    name, _, most = re.split(r"(>)", wording.about) if ">" in wording.about else (wording.about, "", "0")
    if name in OUTCOMES:
        return REFUSED in str(body)
    if name == "system":
        return any(message["role"] == "system" for message in body["messages"])
    if name == "temperature=0":
        return body.get("temperature") == 0
    if name == "thinking":
        return body.get("enable_thinking") is not False
    if name == "logprobs" and most != "0":
        return int(body.get("top_logprobs", 0)) > int(most)
    if name == "max_tokens" and most != "0":
        return max(body.get("max_tokens", 0), body.get("max_completion_tokens", 0)) > int(most)
    return name in body


def ask(server: Server, requests: list[Request], monkeypatch: pytest.MonkeyPatch, **changed: Any) -> list[Answer]:
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    with open_client("gpt", model(**changed), stage="explain") as client:
        return client.ask(requests, "")


def test_the_table_holds_every_service_and_says_where_each_wording_was_seen() -> None:
    assert set(SERVICES.split(", ")) <= {wording.service for wording in WORDINGS}
    assert all(wording.seen for wording in WORDINGS)


@pytest.mark.parametrize("wording", WORDINGS, ids=[f"{wording.service}-{wording.about}-{wording.seen}" for wording in WORDINGS])
def test_no_wording_stops_a_stage_that_another_parameter_or_a_status_saves(
    wording: Wording, cache: Cache, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    def plays(number: int, call: Call) -> Play | None:
        return Play(wording.status, wording.text) if refuses(wording, call.body) else None

    requests = [request(number) for number in range(5)]
    with Server(plays) as server:
        if wording.about == "max_completion_tokens":
            KnownCapabilities(cache, server.url, "gpt-test").learn("max_completion_tokens", 1)
        if wording.about in ("key", "model"):
            advice = {"key": "check OPENAI_API_KEY", "model": r"check models.gpt.name \(gpt-test\)"}[wording.about]
            with pytest.raises(UserError, match=advice):
                ask(server, requests, monkeypatch, extra=EVERYTHING)
            assert KnownCapabilities(cache, server.url, "gpt-test").offered == {}
            return
        answers = ask(server, requests, monkeypatch, extra=EVERYTHING)
        failed = [str(answer.status) for answer in answers if isinstance(answer, ProviderError)]
        assert failed == ([wording.about] if wording.about in OUTCOMES else [])
        if wording.about in OUTCOMES:
            return
        assert all(isinstance(answer, Reply) for answer in answers)
        calls = len(server.calls)
        assert caplog.text.count("neurogloss cache forget gpt-test") == 1
        assert len(ask(server, [request(9)], monkeypatch, extra=EVERYTHING)) == 1
        assert len(server.calls) == calls + 1


def test_each_wording_is_read_by_its_own_sentence() -> None:
    for wording in WORDINGS:
        found = fault(wording.status, {}, wording.text)
        assert found is not None
        assert found.what == {"too_long": "too_long", "refused": "refused", "key": "stop", "model": "stop"}.get(wording.about, "again")
        named = "OpenRouter" not in wording.service and wording.body != {} and "1210" not in wording.text
        assert found.forms != ANY or not named


@pytest.mark.parametrize(
    "message",
    [
        "the temperature of the sea was low. That is not supported by the facts.",
        "'temperature' must be at most 2",
        "Invalid 'temperature': decimal above maximum value. Expected a value <= 2, but got 3 instead.",
        "your prompt was flagged as potentially violating our usage policy",
        "bad",
    ],
)
def test_what_refuses_no_parameter_changes_none(message: str) -> None:
    assert forms_for(message) == ()
