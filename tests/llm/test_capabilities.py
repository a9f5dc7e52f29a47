from pathlib import Path

import pytest

from neurogloss.errors import UserError
from neurogloss.llm.cache import Cache, cache_file
from neurogloss.llm.client import open_client
from neurogloss.llm.exchange import export_replies, import_replies
from neurogloss.llm.openai.capabilities import forgotten
from neurogloss.llm.request import Capability
from neurogloss.llm.usage import read_usage
from tests.llm.asking import model, question
from tests.llm.server import Call, Play, Server, always, chat, error

ALL: tuple[Capability, ...] = ("echo", "top_logprobs", "json_schema")


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-abc")
    monkeypatch.setattr("neurogloss.config.environment.answer_timeout_s", lambda: 0.3)
    monkeypatch.setattr("neurogloss.llm.openai.limiter.FIRST_WAIT_S", 0.01)
    monkeypatch.setattr("neurogloss.llm.openai.limiter.LONGEST_WAIT_S", 0.02)


def offered(server: Server, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    with open_client("gpt", model()) as client:
        return [client.offers(capability) for capability in ALL]


def test_what_an_endpoint_can_do_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def plays(number: int, call: Call) -> Play | None:
        schema = "response_format" in call.body
        return Play(200, chat('{"colour": "blue"}', call.body)) if schema else None

    with Server(plays) as server:
        assert offered(server, monkeypatch) == [True, True, True]
        assert len(server.calls) == 3
        assert offered(server, monkeypatch) == [True, True, True]
        assert len(server.calls) == 3


@pytest.mark.parametrize("status", [400, 404, 422])
def test_an_endpoint_that_says_no_offers_nothing(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = Play(status, '{"error": {"message": "this parameter is not supported"}}')
    with Server(always(refusal)) as server:
        assert offered(server, monkeypatch) == [False, False, False]


@pytest.mark.parametrize(
    ("message", "advice"),
    [
        ("No connected db.", "the key is wrong or expired: check OPENAI_API_KEY"),
        ("/chat/completions: Invalid model name passed in model=gpt-test. Call `/v1/models`", "no such model: check models.gpt.name"),
        ("the moon is full", "the moon is full"),
    ],
)
def test_a_complaint_about_something_else_is_never_taken_for_a_no(message: str, advice: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(always(error(400, message))) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        for capability in ALL:
            with pytest.raises(UserError, match=advice), open_client("gpt", model()) as client:
                client.offers(capability)
        server.plays = lambda number, call: None
        assert offered(server, monkeypatch) == [True, True, False]


def test_an_option_that_alone_brings_an_obscure_complaint_is_not_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    def plays(number: int, call: Call) -> Play | None:
        return error(400, "the moon is full") if {"logprobs", "response_format"} & set(call.body) else None

    with Server(plays) as server:
        assert offered(server, monkeypatch) == [False, False, False]


def test_what_was_found_out_is_forgotten_alone(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(echoes=False) as server:
        assert offered(server, monkeypatch)[0] is False
        with open_client("gpt", model()) as client:
            client.ask([question("kept")], "")
        server.echoes = True
        assert forgotten(cache, "gpt-test") == 3
        assert offered(server, monkeypatch)[0] is True
        calls = len(server.calls)
        with open_client("gpt", model()) as client:
            client.ask([question("kept")], "")
        assert len(server.calls) == calls


def test_an_option_that_is_taken_and_ignored_is_not_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    def plays(number: int, call: Call) -> Play | None:
        return Play(200, chat("Blue.", {"messages": []})) if "messages" in call.body else None

    with Server(plays, echoes=False) as server:
        assert offered(server, monkeypatch) == [False, False, False]


@pytest.mark.parametrize(
    ("play", "message"), [("401", "HTTP 401"), ("404", "does not exist"), ("500", "cannot find out whether .* offers echo")]
)
def test_a_fault_is_not_taken_for_a_no(play: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(always(play)) as server, pytest.raises(UserError, match=message):
        offered(server, monkeypatch)
    with Server() as server:
        assert offered(server, monkeypatch)[0]


def test_a_model_that_may_not_tell_its_log_probabilities_does_not_offer_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def plays(number: int, call: Call) -> Play | None:
        refusal = error(403, "You are not allowed to request logprobs from this model")
        return refusal if "logprobs" in call.body else None

    with Server(plays) as server:
        assert offered(server, monkeypatch) == [False, False, False]


@pytest.mark.parametrize("capability", ["top_logprobs", "json_schema"])
def test_a_model_that_thinks_first_is_given_room_before_it_is_judged(capability: Capability, monkeypatch: pytest.MonkeyPatch) -> None:
    def plays(number: int, call: Call) -> Play:
        if call.body["max_tokens"] < 500:
            return Play(200, chat("", {"messages": []}, "length"))
        return Play(200, chat('{"colour": "blue"}', call.body))

    with Server(plays) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        with open_client("gpt", model()) as client:
            assert client.offers(capability)
        assert len(server.calls) == 2


def test_finding_out_is_paid_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    with Server() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        with open_client("gpt", model(), stage="explain") as client:
            assert client.offers("top_logprobs")
    usage = read_usage("explain")
    assert usage is not None
    assert usage["paid"]["prompt"] > 0
    assert usage["cost_usd"] > 0


def test_what_is_known_needs_no_key_and_no_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    with Server() as server:
        assert offered(server, monkeypatch) == [True, True, False]
        monkeypatch.delenv("OPENAI_API_KEY")
        assert offered(server, monkeypatch) == [True, True, False]
        assert len(server.calls) == 3
    monkeypatch.delenv("OPENAI_BASE_URL")
    with open_client("gpt", model()) as client:
        assert [client.offers(capability) for capability in ALL] == [True, True, False]


def test_who_asks_anew_finds_out_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(echoes=False) as server:
        assert offered(server, monkeypatch)[0] is False
        server.echoes = True
        assert offered(server, monkeypatch)[0] is False
        monkeypatch.setenv("REFRESH", "1")
        assert offered(server, monkeypatch)[0] is True


def test_what_an_import_says_holds_only_where_the_endpoint_cannot_be_asked(
    tmp_path: Path, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Server() as server:
        assert offered(server, monkeypatch) == [True, True, False]
    export_replies(cache, tmp_path / "replies.jsonl")
    assert "127.0.0.1" not in (tmp_path / "replies.jsonl").read_text(encoding="utf-8")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "elsewhere"))
    import_replies(Cache(cache_file()), tmp_path / "replies.jsonl")
    monkeypatch.delenv("OPENAI_BASE_URL")
    monkeypatch.delenv("OPENAI_API_KEY")
    with open_client("gpt", model()) as client:
        assert [client.offers(capability) for capability in ALL] == [True, True, False]
    with open_client("gpt", model(name="another")) as client, pytest.raises(UserError, match="OPENAI_API_KEY is not set"):
        client.offers("echo")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-abc")
    with Server(echoes=False) as server:
        assert offered(server, monkeypatch)[0] is False


def test_the_params_have_the_last_word(monkeypatch: pytest.MonkeyPatch) -> None:
    with open_client("gpt", model(capabilities=["json_schema"])) as client:
        assert [client.offers(capability) for capability in ALL] == [False, False, True]


def test_a_method_that_needs_an_echo_ends_before_it_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = [question("", messages=(), prompt=f"{number}\tunknown\n", echo="unknown", max_tokens=0) for number in range(50)]
    with Server(echoes=False) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        with (
            pytest.raises(
                UserError, match=r"gpt-test gives no log-probabilities of a prompt; choose simulate.method compact.*endpoints.gpt.capab"
            ),
            open_client("gpt", model()) as client,
        ):
            client.ask(asked, "")
        assert len(server.calls) == 1
