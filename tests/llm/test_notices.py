"""What a server does in silence is told once."""

import json
import logging
import re
from pathlib import Path

import pytest

from neurogloss.config.models import ModelEntry
from neurogloss.llm.client import open_client
from neurogloss.llm.openai.notices import counted_short
from neurogloss.llm.request import Answer, PaidError, Reply
from tests.llm.asking import model, question
from tests.llm.server import Play, Server, always

ROOT = Path(__file__).parents[2]
LONG = " the boats in the harbour" * 400


def answer(content: str | None, prompt_tokens: int, reason: str = "stop", cached: int = 0, **more: object) -> Play:
    usage = {"prompt_tokens": prompt_tokens, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": cached}}
    message = {"role": "assistant", "content": content} | more
    return Play(200, json.dumps({"choices": [{"message": message, "finish_reason": reason}], "usage": usage}))


def ask(play: Play, monkeypatch: pytest.MonkeyPatch) -> list[Answer]:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-abc")
    with Server(always(play)) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        with open_client("gpt", model()) as client:
            return client.ask([question(f"{number} {LONG}") for number in range(3)], "")


def test_a_prompt_that_is_cut_in_silence_is_warned_of_once(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    assert all(isinstance(one, Reply) for one in ask(answer("fruit", 512), monkeypatch))
    assert caplog.text.count("gpt-test counts 512 tokens for a prompt of about 2,4") == 1
    assert "OLLAMA_CONTEXT_LENGTH" in caplog.text


@pytest.mark.parametrize(("tokens", "cached"), [(2000, 0), (1300, 0), (300, 1700), (0, 0)])
def test_a_prompt_that_is_whole_is_not(tokens: int, cached: int) -> None:
    value = json.loads(answer("fruit", tokens, cached=cached).body or "")
    assert counted_short(question(LONG), value) is None


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_an_answer_among_the_thoughts_is_told_and_kept(
    field: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    answers = ask(answer(None, 2000, **{field: "words for boats"}), monkeypatch)
    assert all(isinstance(one, PaidError) and (one.status, one.text) == ("unparsable", "words for boats") for one in answers)
    assert caplog.text.count("gives its answer in reasoning_content and none in content ('words for boats')") == 1
    assert "not told apart from the thoughts" in caplog.text


def test_a_model_that_is_cut_off_while_thinking_is_told(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    answers = ask(answer("", 2000, "length", reasoning_content="hm, let me see"), monkeypatch)
    assert all(isinstance(one, Reply) and one.finish_reason == "length" for one in answers)
    assert caplog.text.count("it was cut off while thinking; switch thinking off with models.*.extra") == 1


def test_each_snippet_of_the_page_of_endpoints_is_valid() -> None:
    import yaml

    text = (ROOT / "docs" / "endpoints.md").read_text(encoding="utf-8")
    snippets = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert len(snippets) >= 8
    for snippet in snippets:
        for name, entry in yaml.safe_load(snippet)["models"].items():
            assert ModelEntry.model_validate(entry).provider == "openai", name
    switches = re.findall(r"`(\{.*?\})`(?= |,|;|\n)", text.split("## Reasoning models")[1].split("## What a server refuses")[0])
    assert len(switches) >= 12
    for switch in switches:
        ModelEntry(provider="openai", name="m", context=1, extra=yaml.safe_load(switch))
