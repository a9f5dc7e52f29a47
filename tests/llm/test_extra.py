"""`models.*.extra`: what goes into each request, into the key of its answer, and what may not stand there."""

from pathlib import Path
from typing import Any

import pytest

from neurogloss.config.params import load_params
from neurogloss.errors import UserError
from neurogloss.llm.client import open_client
from neurogloss.llm.openai.bodies import body
from neurogloss.llm.request import model_id
from tests.llm.asking import model, question
from tests.llm.server import Server

ROOT = Path(__file__).parents[2]


def load(tmp_path: Path, extra: str) -> Any:
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    path = tmp_path / "params.yaml"
    path.write_text(text.replace("    name: gpt-4.1-mini\n", f"    name: gpt-4.1-mini\n    {extra}\n"), encoding="utf-8")
    return load_params(path)


def test_extra_goes_into_the_request_and_null_leaves_out(monkeypatch: pytest.MonkeyPatch) -> None:
    extra = {"reasoning_effort": "low", "temperature": None, "chat_template_kwargs": {"enable_thinking": False, "x": None}}
    monkeypatch.setenv("OPENAI_API_KEY", "sk-abc")
    with Server() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        with open_client("gpt", model(extra=extra)) as client:
            client.ask([question("x")], "")
        sent = server.calls[0].body
    assert sent == {
        "model": "gpt-test",
        "messages": [{"role": "user", "content": "x"}],
        "max_tokens": 20,
        "reasoning_effort": "low",
        "chat_template_kwargs": {"enable_thinking": False, "x": None},
    }


def test_extra_is_part_of_the_key_in_any_order() -> None:
    assert model_id(model(extra={"a": 1, "b": [2]})) == model_id(model(extra={"b": [2], "a": 1})) == 'gpt-test with {"a":1,"b":[2]}'
    assert model_id(model()) == "gpt-test"
    assert question("x", model=model_id(model(extra={"a": 1}))).key != question("x", model=model_id(model(extra={"a": 2}))).key


def test_extra_reaches_completions_too() -> None:
    asked = question("", messages=(), prompt="a\tunknown\n", echo="unknown", max_tokens=0)
    assert body(asked, model(extra={"top_p": 0.5}))["top_p"] == 0.5


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("extra: {api_key: abc}", "models.openai.extra: api_key looks like a secret; put it into the environment"),
        ("extra: {provider: {order: [x], headers: {Authorization: abc}}}", "provider.headers.Authorization looks like a secret"),
        ("extra: {user: sk-proj-0123456789abcdef}", "user looks like a secret"),
        ("extra: {user: 0123456789abcdef0123456789abcdef}", "user looks like a secret"),
        ("extra: {a: [{b: 'Bearer abcdefgh'}]}", "a.0.b looks like a secret"),
        ("extra: {model: gpt}", "model does not belong here: it is models.*.name"),
        ("extra: {max_tokens: 9}", "max_tokens does not belong here: explain.max_tokens and max_tokens of the prompts decide it"),
        ("extra: {a: .nan}", "JSON has neither infinity nor NaN"),
        ("extra: {a: 2024-01-01}", "input was not a valid JSON value"),
        ("extra: [1]", "input should be a valid dictionary"),
        ("extra: sk-proj-0123456789abcdef", "got something that looks like a secret"),
    ],
)
def test_what_may_not_stand_there_is_one_line_without_the_secret(extra: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as raised:
        load(tmp_path, extra)
    assert message in str(raised.value)
    assert "1 problem(s)" in str(raised.value)
    for secret in ("abc", "0123456789", "Bearer"):
        assert secret not in str(raised.value).replace("something that", "")


@pytest.mark.parametrize(
    "extra",
    [
        "extra: {stop_token_ids: [1, 2], max_thinking_tokens: 1000, prompt_cache_key: units, safety_identifier: me}",
        "extra: {provider: {order: [hf-inference, deepinfra/fp8], allow_fallbacks: false}, models: [meta-llama/Llama-3.3-70B-Instruct]}",
        "extra: {thinking: {type: enabled, budget_tokens: 2000}, logit_bias: {'50256': -100}}",
    ],
)
def test_what_servers_really_take_is_no_secret(extra: str, tmp_path: Path) -> None:
    assert load(tmp_path, extra).models["openai"].extra


def test_a_model_in_this_process_takes_none(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    path.write_text(text.replace("    provider: local\n", "    provider: local\n    extra: {a: 1}\n"), encoding="utf-8")
    with pytest.raises(UserError, match="models.smollm2: extra is for an endpoint; provider local sends nothing"):
        load_params(path)
