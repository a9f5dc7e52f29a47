"""provider litellm: the same requests, replies, keys, budget and statuses, through LiteLLM's mock answers and over a socket."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from neurogloss.artifacts.status import Status
from neurogloss.errors import ProviderError, UserError
from neurogloss.llm.cache import Cache, cache_file
from neurogloss.llm.client import open_client
from neurogloss.llm.request import Answer, Reply, Request, Usage
from neurogloss.llm.usage import read_usage
from tests.llm.asking import model, question
from tests.llm.server import Call, Play, Server, always, in_turn

pytest.importorskip("litellm", reason="needs neurogloss[litellm]")
pytestmark = [
    # LiteLLM's own: deprecated calls, and clients that it leaves to the garbage collector.
    pytest.mark.filterwarnings("ignore:::litellm"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
Ask = Callable[..., list[Answer]]


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Ask:
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    monkeypatch.setattr("neurogloss.llm.openai.limiter.FIRST_WAIT_S", 0.01)

    def ask(requests: list[Request], url: str = "", **changed: Any) -> list[Answer]:
        if url:
            monkeypatch.setenv("ANTHROPIC_URL", url)
            monkeypatch.setenv("ANTHROPIC_KEY", "sk-ant-abcdefghijkl")
            changed |= {"base_url_from": "ANTHROPIC_URL", "key_from": "ANTHROPIC_KEY"}
        named = {"provider": "litellm", "name": "anthropic/claude-sonnet-4-5"} | changed
        with open_client("claude", model(**named), stage="explain") as client:
            return client.ask(requests, "")

    return ask


def asked(text: str = "hello", **changed: Any) -> Request:
    return question(text, provider="litellm", model="anthropic/claude-sonnet-4-5", temperature=1.0, **changed)


def anthropic(text: str) -> Play:
    """A message in Anthropic's own form."""
    content = [{"type": "text", "text": text}]
    usage = {"input_tokens": 30, "cache_read_input_tokens": 20, "output_tokens": 5}
    named = {"id": "m", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "stop_sequence": None}
    return Play(body=json.dumps(named | {"content": content, "stop_reason": "end_turn", "usage": usage}))


def refusal(status: int, kind: str, message: str, **headers: str) -> Play:
    body = {"type": "error", "error": {"type": kind, "message": message}}
    return Play(status, json.dumps(body), {name.replace("_", "-"): value for name, value in headers.items()})


def test_a_mock_answer_is_a_reply_that_is_kept_and_found_again(ask: Ask, cache: Cache) -> None:
    mocked = {"extra": {"mock_response": "fruit"}}
    (said,) = ask([asked(max_tokens=9)], **mocked)
    assert isinstance(said, Reply) and (said.text, said.finish_reason) == ("fruit", "stop")
    paid = read_usage("explain")
    assert paid is not None and paid["cached"] == 0 and paid["cost_usd"] > 0
    assert ask([asked(max_tokens=9)], **mocked) == [said]
    again = read_usage("explain")
    assert again is not None and (again["cached"], again["cost_usd"]) == (1, 0)
    assert cache.run("SELECT key, model, status FROM replies") == [(asked(max_tokens=9).key, "claude", "ok")]


@pytest.mark.parametrize(("mock", "status"), [("ContextWindowExceededError", Status.TOO_LONG)])
def test_its_exceptions_become_our_statuses(mock: str, status: Status, ask: Ask) -> None:
    (said,) = ask([asked()], extra={"mock_response": f"litellm.{mock}"})
    assert isinstance(said, ProviderError) and said.status == status


def test_anthropic_is_spoken_to_in_its_own_form(ask: Ask) -> None:
    with Server(always(anthropic("fruit"))) as server:
        (said,) = ask([asked(stop=("\n",))], server.url.removesuffix("/v1"))
        (call,) = server.calls
    assert said == Reply("fruit", "stop", (), Usage(50, 20, 5))
    assert call.path == "/v1/messages" and call.headers["x-api-key"] == "sk-ant-abcdefghijkl"
    assert (call.body["model"], call.body["max_tokens"], call.body["temperature"]) == ("claude-sonnet-4-5", 20, 1.0)
    assert call.body["messages"][0]["role"] == "user" and "choices" not in call.body


def test_a_busy_service_is_asked_again_and_a_refusal_is_counted(ask: Ask) -> None:
    busy = refusal(429, "rate_limit_error", "slow down", retry_after="0.01")
    down = refusal(529, "overloaded_error", "Overloaded")
    with Server(in_turn(busy, down, anthropic("fruit"))) as server:
        assert [one.text for one in ask([asked()], server.url.removesuffix("/v1")) if isinstance(one, Reply)] == ["fruit"]
        assert len(server.calls) == 3
    long = refusal(400, "invalid_request_error", "prompt is too long: 217000 tokens > 200000 maximum")
    with Server(always(long)) as server:
        (said,) = ask([asked("other")], server.url.removesuffix("/v1"))
        assert isinstance(said, ProviderError) and said.status == Status.TOO_LONG and len(server.calls) == 1


def test_an_option_that_the_service_lacks_is_left_out(ask: Ask, cache: Cache) -> None:
    deprecated = refusal(400, "invalid_request_error", "`temperature` is deprecated for this model")

    def plays(number: int, call: Call) -> Play:
        return deprecated if "temperature" in call.body else anthropic("fruit")

    with Server(plays) as server:
        assert isinstance(ask([asked()], server.url.removesuffix("/v1"))[0], Reply)
        assert ["temperature" in call.body for call in server.calls] == [True, False]


def test_a_wrong_key_is_one_line_without_the_key(ask: Ask) -> None:
    with (
        Server(always(refusal(401, "authentication_error", "invalid x-api-key sk-ant-abcdefghijkl"))) as server,
        pytest.raises(UserError, match=r"HTTP 401.*the key is wrong or expired: check ANTHROPIC_KEY") as raised,
    ):
        ask([asked()], server.url.removesuffix("/v1"))
    assert "abcdefghijkl" not in str(raised.value) and "\n" not in str(raised.value)


def test_without_a_key_the_variable_is_named(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    with pytest.raises(UserError, match="litellm://anthropic: .*ANTHROPIC_API_KEY"):
        ask([asked()])


def test_an_address_where_nobody_listens_ends_the_stage_soon(ask: Ask) -> None:
    with pytest.raises(UserError, match="cannot be reached, nothing listens there"):
        ask([asked()], "http://127.0.0.1:9")


def test_the_budget_holds(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEUROGLOSS_BUDGET_USD", "0.0000001")
    with pytest.raises(UserError, match="the budget of"):
        ask([asked()], extra={"mock_response": "fruit"})


def test_a_name_without_a_service_is_one_line(ask: Ask) -> None:
    with pytest.raises(UserError, match="models.claude.name is 'nonsense', expected a service and its model, such as anthropic/NAME"):
        ask([asked()], name="nonsense")


def test_batches_are_not_for_it(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCH", "1")
    with pytest.raises(UserError, match="BATCH=1 is for provider openai, and models.claude has provider litellm"):
        ask([asked()], extra={"mock_response": "fruit"})


def test_log_probabilities_that_a_service_lacks_are_found_out_once(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_KEY", "sk-ant-abcdefghijkl")
    with Server(always(anthropic("blue"))) as server:
        monkeypatch.setenv("ANTHROPIC_URL", server.url.removesuffix("/v1"))
        places = {"base_url_from": "ANTHROPIC_URL", "key_from": "ANTHROPIC_KEY"}
        for _ in range(2):
            with open_client("claude", model(provider="litellm", name="anthropic/claude-sonnet-4-5", **places)) as client:
                assert not client.offers("top_logprobs")
        assert len(server.calls) == 1 and "logprobs" not in server.calls[0].body
    assert cache.run("SELECT offered FROM endpoints WHERE capability = 'top_logprobs'") == [(0,)]


def test_an_openai_model_through_it_gives_log_probabilities(ask: Ask) -> None:
    with Server() as server:
        (said,) = ask([asked(top_logprobs=2)], server.url, name="openai/gpt-4o")
    assert isinstance(said, Reply) and said.tokens and said.tokens[0].alternatives["7"] == -2.5


def test_it_is_imported_only_where_it_is_asked() -> None:
    code = "import sys, neurogloss.llm.client, neurogloss.llm.planning; print('litellm' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout == "False\n"


def test_without_it_one_line_says_what_to_install(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "litellm", None)
    with pytest.raises(UserError, match=r"pip install 'neurogloss\[litellm\]'"):
        ask([asked()])


def test_the_cache_of_replies_holds_no_key(ask: Ask) -> None:
    with Server(always(anthropic("sk-ant-abcdefghijkl is my key"))) as server:
        ask([asked()], server.url.removesuffix("/v1"))
    assert b"sk-ant-abcdefghijkl" not in Path(cache_file()).read_bytes()
