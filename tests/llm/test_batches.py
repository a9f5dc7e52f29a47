import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from neurogloss.errors import ProviderError, UserError
from neurogloss.llm.cache import Cache
from neurogloss.llm.client import open_client
from neurogloss.llm.openai.batch import Batches
from neurogloss.llm.request import Answer, Reply
from neurogloss.llm.tokens import ESTIMATE
from neurogloss.llm.usage import BATCH_PRICE, read_usage, worst_usd
from tests.llm.asking import model, question, questions
from tests.llm.batches import BatchServer
from tests.llm.server import Call, Play, Server, always, error


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-abc")
    monkeypatch.setenv("BATCH", "1")
    monkeypatch.setattr("neurogloss.llm.openai.batch.FIRST_POLL_S", 0.01)
    monkeypatch.setattr("neurogloss.llm.openai.limiter.FIRST_WAIT_S", 0.01)
    monkeypatch.setattr("neurogloss.config.environment.answer_timeout_s", lambda: 0.5)


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]  # a function
    def ask(server: Server, requests: list) -> list[Answer]:  # type: ignore[type-arg]  # of requests
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        with open_client("gpt", model(capabilities=["echo"]), stage="explain") as client:
            return client.ask(requests, "")

    return ask


def test_a_batch_gives_the_same_answers_for_half_the_price(ask, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    asked = [*questions(7), question("", messages=(), prompt="the\tunknown\n", echo="unknown", max_tokens=0)]
    with BatchServer() as server:
        batched = ask(server, asked)
        assert server.made() == ["/v1/files", "/v1/batches", "/v1/files", "/v1/batches"]
        assert {batch["endpoint"] for batch in server.batches.values()} == {"/v1/chat/completions", "/v1/completions"}
    half = read_usage("explain")
    monkeypatch.delenv("BATCH")
    monkeypatch.setenv("REFRESH", "1")
    with Server() as server:
        assert ask(server, asked) == batched
        assert all(isinstance(answer, Reply) for answer in batched)
    full = read_usage("explain")
    assert half is not None and full is not None
    assert half["cost_usd"] == pytest.approx(full["cost_usd"] / 2)


def test_a_run_that_ended_while_waiting_collects_its_batch(ask, monkeypatch: pytest.MonkeyPatch, cache: Cache) -> None:  # type: ignore[no-untyped-def]
    with BatchServer(polls=4) as server:
        looked = server.batch

        def stop(call: Call, parts: list[str]):  # type: ignore[no-untyped-def]
            if len(server.looks) and len(cache.run("SELECT id FROM batches")) == 1 and sum(server.looks.values()) == 2:
                raise ConnectionError
            return looked(call, parts)

        monkeypatch.setattr(server, "batch", stop)
        monkeypatch.setattr("neurogloss.llm.openai.batch.TRIES", 1)
        with pytest.raises(UserError, match="the connection broke"):
            ask(server, questions(3))
        assert len(cache.run("SELECT id FROM batches")) == 1
        monkeypatch.setattr(server, "batch", looked)
        # Now with one question more: the known ones are waited for, the other is sent.
        answers = ask(server, questions(4))
        assert all(isinstance(answer, Reply) for answer in answers)
        assert server.made().count("/v1/batches") == 2
        assert [len(server.files[batch["input_file_id"]].splitlines()) for batch in server.batches.values()] == [3, 1]
    assert not cache.run("SELECT id FROM batches WHERE requests != '[]'")


def test_a_batch_made_just_before_the_end_is_found_again(ask, cache: Cache) -> None:  # type: ignore[no-untyped-def]
    with BatchServer() as server:
        ask(server, questions(3))
        cache.change("DELETE FROM replies")
        cache.change("DELETE FROM batches")
        assert all(isinstance(answer, Reply) for answer in ask(server, questions(3)))
        assert server.made().count("/v1/batches") == 1


def test_making_a_batch_whose_answer_got_lost_makes_no_second_one(ask) -> None:  # type: ignore[no-untyped-def]
    dropped = []

    with BatchServer() as server:

        def plays(number: int, call: Call) -> Play | None:
            if call.method == "POST" and call.path.endswith("/batches") and not dropped:
                dropped.append(server.answer(call))
                return Play(fault="drop")
            return None

        server.plays = plays
        assert all(isinstance(answer, Reply) for answer in ask(server, questions(3)))
        assert len(dropped) == len(server.batches) == 1


def test_what_a_batch_did_not_answer_has_a_status_and_is_asked_anew(ask) -> None:  # type: ignore[no-untyped-def]
    with BatchServer(ends="expired") as server:
        answers = ask(server, questions(6))
        assert sorted(answer.status if isinstance(answer, ProviderError) else "ok" for answer in answers) == ["ok"] * 3 + ["unanswered"] * 3
        server.ends = "completed"
        assert all(isinstance(answer, Reply) for answer in ask(server, questions(6)))
        assert [len(server.files[batch["input_file_id"]].splitlines()) for batch in server.batches.values()] == [6, 3]


def test_single_failures_have_their_statuses(ask) -> None:  # type: ignore[no-untyped-def]
    broken = {1: (400, "this model's maximum context length is 10 tokens"), 2: (500, "oops")}
    with BatchServer(broken=broken) as server:
        answers = ask(server, questions(4))
    assert [answer.status if isinstance(answer, ProviderError) else "ok" for answer in answers] == ["ok", "too_long", "unanswered", "ok"]


def test_a_batch_that_fails_as_a_whole_is_one_line(ask, cache: Cache) -> None:  # type: ignore[no-untyped-def]
    with BatchServer(ends="failed") as server, pytest.raises(UserError, match="batch batch_0: line 1: no such model"):
        ask(server, questions(2))
    assert not cache.run("SELECT id FROM batches WHERE requests != '[]'")


def test_a_batch_that_answered_nothing_is_not_found_again(ask) -> None:  # type: ignore[no-untyped-def]
    with BatchServer(broken={0: (500, "oops"), 1: (500, "oops")}) as server:
        assert all(isinstance(answer, ProviderError) for answer in ask(server, questions(2)))
        server.broken = {}
        assert all(isinstance(answer, Reply) for answer in ask(server, questions(2)))
        assert len(server.batches) == 2


def test_a_batch_in_a_form_that_the_model_refuses_is_sent_again_in_the_other(ask) -> None:  # type: ignore[no-untyped-def]
    complaint = (400, "'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.")
    with BatchServer(broken=dict.fromkeys(range(3), complaint)) as server:

        def plays(number: int, call: Call) -> None:
            if len(server.batches) == 1 and call.method == "POST":
                server.broken = {}

        server.plays = plays
        assert all(isinstance(answer, Reply) for answer in ask(server, questions(3)))
        assert ["max_completion_tokens" in text for text in server.files.values() if "custom_id" in text and "body" in text][:2] == [
            False,
            True,
        ]
        server.broken = dict.fromkeys(range(2), complaint)
        server.plays = lambda number, call: None
        with pytest.raises(UserError, match="HTTP 400: 'max_tokens' is not supported"):
            ask(server, [question("other"), question("one more")])


def test_an_endpoint_without_batches_says_so(ask) -> None:  # type: ignore[no-untyped-def]
    with (
        Server(always(error(404, "Not Found"))) as server,
        pytest.raises(UserError, match="has no batch API .HTTP 404.; run without BATCH=1"),
    ):
        ask(server, questions(2))


def test_two_batches_that_the_budget_holds_only_one_after_the_other_are_both_answered(ask, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    asked = [question("one"), question("", messages=(), prompt="the\tunknown\n", echo="unknown", max_tokens=0)]
    worst = [BATCH_PRICE * worst_usd(ESTIMATE.bound(request), request.max_tokens, model().price) for request in asked]
    monkeypatch.setenv("NEUROGLOSS_BUDGET_USD", str(1.1 * max(worst)))
    with BatchServer() as server:
        assert all(isinstance(answer, Reply) for answer in ask(server, asked))
        assert len(server.batches) == 2


def test_a_budget_holds_for_a_batch(ask, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("NEUROGLOSS_BUDGET_USD", "0.000001")
    with BatchServer() as server:
        with pytest.raises(UserError, match="the budget of"):
            ask(server, questions(2))
        assert not server.made()


def test_an_interrupted_wait_says_how_to_go_on(ask, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:  # type: ignore[no-untyped-def]
    async def interrupt(batches: Batches, batch: str) -> None:
        raise asyncio.CancelledError

    monkeypatch.setattr(Batches, "finished", interrupt)
    with BatchServer() as server, pytest.raises(asyncio.CancelledError):
        ask(server, questions(2))
    assert "run again with BATCH=1 to collect them" in caplog.text


def test_a_batch_goes_out_with_the_models_own_headers_and_query_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {"OPENAI_ORG_ID": "org-1", "OPENAI_PROJECT_ID": "proj-1", "OPENAI_CUSTOM_HEADERS": "x-mine: 1", "AZURE_KEY": "0f1e2d3c4b5a"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with BatchServer() as server:
        monkeypatch.setenv("GATEWAY", f"{server.url}?api-version=1")
        with open_client("gpt", model(base_url_from="GATEWAY", headers_from={"api-key": "AZURE_KEY"})) as client:
            assert all(isinstance(answer, Reply) for answer in client.ask(questions(2), ""))
        for call in server.calls:
            assert "api-version=1" in call.path
            assert call.headers["api-key"] == "0f1e2d3c4b5a"
            assert not {"authorization", "openai-organization", "openai-project", "x-mine"} & set(call.headers)


ODD_ROWS = (
    '{"custom_id": KEY, "response": [], "error": null}',
    '{"custom_id": KEY, "response": {"status_code": "x", "body": {}}}',
    '{"custom_id": KEY, "response": {"status_code": 200, "body": {"choices": 3}}}',
    '{"custom_id": KEY, "response": {"status_code": 200, "body": {"choices": [{"message": {"content": [[]]}}]}}}',
    '{"custom_id": KEY, "response": {"status_code": 1e400, "body": {"error": {"message": {"a": 1}}}}}',
    '{"custom_id": KEY, "error": "\\ud83d"}',
    '{"custom_id": {}, "response": ' + "[" * 2000 + "]" * 2000 + "}",
)


@pytest.mark.parametrize("row", ODD_ROWS)
def test_a_malformed_row_costs_its_own_request(row: str, ask: Callable[..., list[Answer]]) -> None:
    class Odd(BatchServer):
        def finish(self, batch: dict[str, Any]) -> None:
            super().finish(batch)
            lines = self.files[f"out-{batch['id']}"].split("\n")
            lines[2] = row.replace("KEY", json.dumps(json.loads(lines[2])["custom_id"]))
            self.files[f"out-{batch['id']}"] = "\n".join(lines)

    with Odd() as server:
        answers = ask(server, questions(6))
    assert [isinstance(answer, Reply) for answer in answers].count(False) == 1


@pytest.mark.parametrize("body", ['"x"', "3", "[]", "{}", '{"id": 3, "status": []}', "<html>", "[" * 200_000, '{"data": 7}'])
@pytest.mark.parametrize("path", ["files", "batches"])
def test_a_malformed_answer_about_a_batch_is_asked_for_again(path: str, body: str, ask: Callable[..., list[Answer]]) -> None:
    odd: list[int] = []

    def plays(number: int, call: Call) -> Play | None:
        if f"/{path}" not in call.path or (path == "files" and call.method == "POST") or len(odd) > 1:
            return None
        odd.append(number)
        return Play(200, body)

    with BatchServer(plays=plays) as server:
        answers = ask(server, questions(3))
    # A result that is none of the rows leaves the questions for the next run.
    assert len(answers) == 3
    assert all(isinstance(answer, Reply) for answer in answers) or path == "files"
