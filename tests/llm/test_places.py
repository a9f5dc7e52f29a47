"""Replies of one server are not taken for those of another behind the same name."""

import json
import logging
from pathlib import Path

import pytest

from neurogloss.llm.cache import Cache, cache_file
from neurogloss.llm.client import open_client
from neurogloss.llm.exchange import export_replies, import_replies
from neurogloss.llm.planning import Planner
from neurogloss.llm.request import Answer, Reply, model_id
from tests.llm.asking import model, questions
from tests.llm.server import Play, Server, always, chat


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-abc")


def ask(server: Server | None, monkeypatch: pytest.MonkeyPatch, count: int = 3, **changed: object) -> list[Answer]:
    if server is not None:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    with open_client("gpt", model(**changed)) as client:
        return client.ask(questions(count), "")


def texts(answers: list[Answer]) -> set[str]:
    return {answer.text for answer in answers if isinstance(answer, Reply)}


def saying(text: str) -> Server:
    return Server(always(Play(200, chat(text, {"messages": []}))))


def test_another_server_behind_the_same_name_answers_for_itself(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    with saying("vllm") as one, saying("llama.cpp") as other:
        assert texts(ask(one, monkeypatch)) == {"vllm"}
        assert texts(ask(other, monkeypatch)) == {"llama.cpp"}
        assert texts(ask(one, monkeypatch)) == {"vllm"}
        assert (len(one.calls), len(other.calls)) == (3, 3)
    assert caplog.text.count("gpt: 3 of these questions were answered at another address and are asked again") == 1


def test_a_stated_revision_stands_for_the_model_wherever_it_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    with saying("a") as one, saying("b") as other:
        ask(one, monkeypatch, revision="q4")
        assert texts(ask(other, monkeypatch, revision="q4")) == {"a"}
        assert len(other.calls) == 0
    assert model_id(model(revision="q4")) != model_id(model(revision="q8"))


def test_who_has_the_replies_needs_no_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    with saying("a") as one, saying("b") as other:
        ask(one, monkeypatch)
        ask(other, monkeypatch)
    monkeypatch.delenv("OPENAI_BASE_URL")
    monkeypatch.delenv("OPENAI_API_KEY")
    assert texts(ask(None, monkeypatch)) == {"b"}


def test_the_address_is_read_however_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    with saying("a") as server:
        ask(server, monkeypatch)
        monkeypatch.setenv("OPENAI_BASE_URL", f"HTTP://127.0.0.1:{server.port}/v1/?api-version=1")
        ask(None, monkeypatch)
        assert len(server.calls) == 3


def test_imported_replies_count_at_any_place_and_that_is_said(
    tmp_path: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with saying("first") as one, saying("second") as other:
        ask(one, monkeypatch, 3)
        ask(other, monkeypatch, 2)
    assert export_replies(cache, tmp_path / "replies.jsonl") == 2
    assert "3 replies were left out" in caplog.text
    text = (tmp_path / "replies.jsonl").read_text(encoding="utf-8")
    assert "@" not in text and "127.0.0.1" not in text
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "elsewhere"))
    assert import_replies(Cache(cache_file()), tmp_path / "replies.jsonl") == (2, 0)
    with saying("third") as third:
        assert texts(ask(third, monkeypatch, 3)) == {"second", "third"}
        assert len(third.calls) == 1
    assert caplog.text.count("gpt: some answers were imported or given by an earlier version") == 1


def test_what_an_earlier_version_kept_counts_and_is_exported(tmp_path: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    with saying("a") as server:
        ask(server, monkeypatch, 2)
        cache.change("UPDATE replies SET key = substr(key, 1, 64)")
        ask(server, monkeypatch, 3)
        assert len(server.calls) == 3
    assert export_replies(cache, tmp_path / "replies.jsonl") == 3
    keys = [json.loads(line)["key"] for line in (tmp_path / "replies.jsonl").read_text(encoding="utf-8").splitlines()[1:]]
    assert sorted(keys) == sorted(request.key for request in questions(3))


def test_a_plan_looks_where_the_model_is_now(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    with saying("a") as one, saying("b") as other:
        ask(one, monkeypatch)
        for server, cached in ((one, 3), (other, 0)):
            monkeypatch.setenv("OPENAI_BASE_URL", server.url)
            planner = Planner(cache, 1)
            with planner.open("gpt", model(), "explain") as client:
                client.ask(questions(3), "")
            assert planner.steps[0].cached == cached
