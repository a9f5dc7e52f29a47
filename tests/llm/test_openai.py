"""The provider against a real HTTP server on loopback."""

import logging
import re
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest

from neurogloss.errors import ProviderError, UserError
from neurogloss.llm.cache import Cache
from neurogloss.llm.client import CachedClient, open_client
from neurogloss.llm.request import Answer, Message, PaidError, Reply, Usage
from tests.llm.asking import model, question, questions
from tests.llm.server import Call, Play, Server, always, chat, error, faulty, in_turn

KEY = "sk-verysecret-0123456789"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setattr("neurogloss.config.environment.answer_timeout_s", lambda: 0.4)
    monkeypatch.setattr("neurogloss.llm.openai.limiter.FIRST_WAIT_S", 0.02)
    monkeypatch.setattr("neurogloss.llm.openai.limiter.LONGEST_WAIT_S", 0.05)


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Answer]]:
    def ask(server: Server, requests: Any, **changed: Any) -> list[Answer]:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        with open_client("gpt", model(**changed), stage="explain") as client:
            return client.ask(requests, "")

    return ask


def answered(answers: list[Answer]) -> int:
    return sum(isinstance(answer, Reply) and answer.text.startswith("words about ") for answer in answers)


def test_many_requests_are_in_flight_through_few_connections(ask: Callable[..., list[Answer]]) -> None:
    with Server(delay=0.02) as server:
        answers = ask(server, questions(60))
        assert answered(answers) == 60
        assert len({answer.text for answer in answers if isinstance(answer, Reply)}) == 60
        assert (len(server.calls), server.most_in_flight) == (60, 16)
        assert server.connections <= 16


def test_a_request_goes_out_as_it_was_asked(ask: Callable[..., list[Answer]]) -> None:
    asked = question("tab\there \U0001f600", temperature=0.7, stop=("\n",), top_logprobs=3, json_schema='{"type": "object"}')
    with Server() as server:
        answers = ask(server, [asked])
        assert server.calls[0].headers["authorization"] == f"Bearer {KEY}"
        assert server.calls[0].body == {
            "model": "gpt-test",
            "temperature": 0.7,
            "stop": ["\n"],
            "messages": [{"role": "user", "content": "tab\there \U0001f600"}],
            "max_tokens": 20,
            "logprobs": True,
            "top_logprobs": 3,
            "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": {"type": "object"}}},
        }
    assert isinstance(answers[0], Reply)
    assert answers[0].tokens[0].alternatives == {answers[0].text: -0.1, "7": -2.5}


def test_half_a_character_can_be_sent(ask: Callable[..., list[Answer]]) -> None:
    with Server() as server:
        assert answered(ask(server, [question("half \ud83d of one \x00")])) == 1
        assert server.calls[0].body["messages"][0]["content"] == "half \ufffd of one \x00"


def test_an_echo_gives_what_could_stand_at_each_place(ask: Callable[..., list[Answer]]) -> None:
    asked = question("", messages=(), prompt="the\tunknown\ncat\tunknown\n", echo="unknown", echo_from=8, max_tokens=0, top_logprobs=15)
    with Server() as server:
        (answer,) = ask(server, [asked], capabilities=["echo"])
        assert server.calls[0].body == {
            "model": "gpt-test",
            "temperature": 0.0,
            "prompt": asked.prompt,
            "max_tokens": 1,
            "echo": True,
            "logprobs": 15,
        }
    assert isinstance(answer, Reply)
    assert [(token.token, token.alternatives) for token in answer.tokens] == [("unkn", {"0": -0.5, "10": -3.0})]


@pytest.mark.parametrize("play", ["429", "500", "503", "502", "cut", "text", "empty", "drop", "hang"])
def test_a_passing_fault_is_tried_again(play: str, ask: Callable[..., list[Answer]]) -> None:
    with Server(in_turn(play, play)) as server:
        assert answered(ask(server, questions(1))) == 1
        assert len(server.calls) == 3


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_a_faulty_server_changes_no_answer(share: float, ask: Callable[..., list[Answer]], monkeypatch: pytest.MonkeyPatch) -> None:
    with Server() as server:
        sound = ask(server, questions(100))
    monkeypatch.setenv("REFRESH", "1")
    with Server(faulty(share, seed=1)) as server:
        assert ask(server, questions(100)) == sound
        assert len(server.calls) > 100


def test_what_is_never_answered_has_a_status(ask: Callable[..., list[Answer]]) -> None:
    def plays(number: int, call: Call) -> str | None:
        return "500" if "question 3" in call.text else None

    with Server(plays) as server:
        answers = ask(server, questions(10))
        assert [index for index, answer in enumerate(answers) if isinstance(answer, ProviderError)] == [3]
        assert isinstance(answers[3], ProviderError)
        assert (answers[3].status, str(answers[3])) == ("unanswered", "HTTP 500: the server had an error")
        assert 9 + 8 <= len(server.calls) <= 9 + 9


@pytest.mark.parametrize(
    ("play", "message"),
    [
        ("401", "HTTP 401: Incorrect API key provided: .key.; the key is wrong or expired: check OPENAI_API_KEY"),
        ("403", "HTTP 403: no access to this model; the key may not use this model: check OPENAI_API_KEY"),
        (
            "404",
            "HTTP 404: The model `gpt-test` does not exist; no such model or path: check models.gpt.name .gpt-test. and that",
        ),
        ("quota", "HTTP 429: You exceeded your current quota, .*; the quota or the credit is used up"),
        ("malformed", "HTTP 400: 'temperature' must be at most 2; the request is malformed"),
        ("html", "it answered with a web page: a proxy or a login stands between, or OPENAI_BASE_URL is not the API's address"),
    ],
)
def test_what_no_retry_can_mend_ends_the_stage_with_one_line(play: str, message: str, ask: Callable[..., list[Answer]]) -> None:
    with Server(always(play)) as server:
        with pytest.raises(UserError, match=f"^http://127.0.0.1:{server.port}/v1: {message}") as raised:
            ask(server, questions(100))
        assert "\n" not in str(raised.value)
        assert KEY not in str(raised.value)
        assert len(server.calls) <= 16


def test_what_was_answered_before_the_end_is_not_asked_again(ask: Callable[..., list[Answer]]) -> None:
    with Server(lambda number, call: "quota" if number >= 40 else None) as server, pytest.raises(UserError, match="credit is used up"):
        ask(server, questions(100), revision="q4")
    with Server() as server:
        assert answered(ask(server, questions(100), revision="q4")) == 100
        assert len(server.calls) == 60


def test_a_dead_endpoint_ends_the_stage_after_the_time_for_retries(
    ask: Callable[..., list[Answer]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEUROGLOSS_RETRY_S", "1")
    with Server(always("500")) as server, pytest.raises(UserError, match="failed on the last 16 requests, HTTP 500.*run again later"):
        ask(server, questions(400))
    assert len({call.text for call in server.calls}) < 32


def test_an_endpoint_that_restarts_is_waited_for(ask: Callable[..., list[Answer]]) -> None:
    """More tries than one request has while others are answered."""
    with Server(lambda number, call: "503" if 5 <= number < 205 else None) as server:
        assert answered(ask(server, questions(20))) == 20
        assert len(server.calls) == 20 + 200


def test_what_is_tried_again_is_logged_and_shown(
    ask: Callable[..., list[Answer]], caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO)
    with Server(in_turn("503", "503")) as server:
        ask(server, questions(4))
        assert f"trying again in 0.0 s: http://127.0.0.1:{server.port}/v1: HTTP 503: loading model" in caplog.text
    assert "1 tried again" in capsys.readouterr().err


def test_an_unreachable_host_is_one_line(ask: Callable[..., list[Answer]]) -> None:
    with Server() as server:
        pass
    with pytest.raises(UserError, match="cannot be reached, nothing listens there: is the server running, and is OPENAI_BASE_URL right"):
        ask(server, questions(3))


def test_a_name_that_nobody_knows_is_one_line_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(*arguments: object, **more: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nobody)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://no-such-host.invalid/v1")
    with (
        pytest.raises(UserError, match="no-such-host.*cannot be reached, Name or service not known"),
        open_client("gpt", model()) as client,
    ):
        client.ask(questions(3), "")


def test_retry_after_holds_everyone(ask: Callable[..., list[Answer]]) -> None:
    began: list[float] = []

    def plays(number: int, call: Call) -> Play | None:
        began.append(time.monotonic())
        early = time.monotonic() < began[0] + 1.0
        return Play(429, '{"error": {"message": "slow down"}}', {"retry-after": "1"}) if early else None

    with Server(plays) as server:
        assert answered(ask(server, questions(20))) == 20
        assert time.monotonic() - began[0] >= 1.0
        assert len(server.calls) == 21


def test_a_server_that_asks_to_wait_for_hours_ends_the_stage(ask: Callable[..., list[Answer]]) -> None:
    wait = Play(429, '{"error": {"message": "daily limit"}}', {"retry-after": "7200"})
    with Server(always(wait)) as server, pytest.raises(UserError, match="daily limit; it asks to wait 7200 s"):
        ask(server, questions(3))


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (chat("", {"messages": []}, "content_filter"), "refused"),
        (chat("", {"messages": []}, refusal="I cannot help with that"), "refused"),
    ],
)
def test_an_answer_that_is_none_is_paid_once(body: str, status: str, ask: Callable[..., list[Answer]]) -> None:
    with Server(always(Play(200, body))) as server:
        (first,) = ask(server, questions(1))
        (second,) = ask(server, questions(1))
        assert isinstance(first, PaidError) and isinstance(second, PaidError)
        assert first.status == second.status == status
        assert len(server.calls) == 1


def test_a_prompt_that_a_filter_refuses_is_asked_once(ask: Callable[..., list[Answer]]) -> None:
    """As what is imported: asking again would not change it, and the stages after it would wait for it for ever."""
    with Server(always(error(400, "flagged by our content policy", "content_filter"))) as server:
        for _ in range(2):
            (found,) = ask(server, questions(1))
            assert isinstance(found, PaidError) and (found.status, found.usage) == ("refused", Usage())
        assert len(server.calls) == 1


def test_a_prompt_too_long_for_the_model_has_a_status(ask: Callable[..., list[Answer]]) -> None:
    with Server(in_turn("long")) as server:
        (answer,) = ask(server, questions(1))
        assert isinstance(answer, ProviderError)
        assert answer.status == "too_long"


def test_a_model_that_wants_its_limit_called_otherwise_gets_it(ask: Callable[..., list[Answer]]) -> None:
    complaint = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."

    def plays(number: int, call: Call) -> Play | None:
        return Play(400, f'{{"error": {{"message": "{complaint}"}}}}') if "max_tokens" in call.body else None

    with Server(plays, delay=0.02) as server:
        assert answered(ask(server, questions(40))) == 40
        assert answered(ask(server, [question("another")])) == 1
        assert sum("max_tokens" in call.body for call in server.calls) == 1
    with Server(always(Play(400, f'{{"error": {{"message": "{complaint}"}}}}'))) as server, pytest.raises(UserError, match="HTTP 400"):
        ask(server, [question("a third")])


def test_a_model_that_takes_no_temperature_is_asked_without_one_and_says_so(
    ask: Callable[..., list[Answer]], caplog: pytest.LogCaptureFixture
) -> None:
    complaint = "Unsupported value: 'temperature' does not support 0 with this model. Only the default (1) value is supported."

    def plays(number: int, call: Call) -> Play | None:
        return Play(400, f'{{"error": {{"message": "{complaint}"}}}}') if "temperature" in call.body else None

    with Server(plays, delay=0.02) as server:
        assert answered(ask(server, questions(20))) == 20
        assert answered(ask(server, [question("another")])) == 1
        assert len(server.calls) == 1 + 20 + 1
    assert caplog.text.count("gpt-test takes no temperature") == 1


def test_two_models_live_at_two_endpoints(ask: Callable[..., list[Answer]], monkeypatch: pytest.MonkeyPatch) -> None:
    with Server() as one, Server() as other:
        monkeypatch.setenv("SIMULATOR_URL", other.url)
        monkeypatch.setenv("SIMULATOR_KEY", "other-key")
        ask(one, questions(1))
        ask(one, [question("another")], base_url_from="SIMULATOR_URL", key_from="SIMULATOR_KEY")
        assert (len(one.calls), len(other.calls)) == (1, 1)
        assert other.calls[0].headers["authorization"] == "Bearer other-key"
        ask(one, [question("a third")], base_url_from="SIMULATOR_URL")
        assert "authorization" not in other.calls[1].headers


def test_an_endpoint_that_gets_no_key_and_wants_one_says_where_to_name_it(
    ask: Callable[..., list[Answer]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Server(always("401")) as server:
        monkeypatch.setenv("MINE", server.url)
        with pytest.raises(UserError, match="check models.gpt.key_from .it names no variable."):
            ask(server, questions(1), base_url_from="MINE")


@pytest.mark.parametrize(
    ("variables", "changed", "message"),
    [
        ({}, {}, "OPENAI_API_KEY is not set; put the key for https://api.openai.com/v1 into it"),
        ({"OPENAI_API_KEY": "  \n"}, {}, "OPENAI_API_KEY is not set"),
        ({"OPENAI_API_KEY": "sk-abc\ndef"}, {}, "OPENAI_API_KEY holds a blank, a line break"),
        ({"OPENAI_API_KEY": "sk-abc def"}, {}, "OPENAI_API_KEY holds a blank, a line break"),
        ({"OPENAI_API_KEY": "sk-ä"}, {}, "OPENAI_API_KEY holds a blank, a line break or a character"),
        ({"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": "localhost:8000"}, {}, "OPENAI_BASE_URL is not an address"),
        ({"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": "http://x:99999/v1"}, {}, "OPENAI_BASE_URL is not an address"),
        ({"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": "http://u:sk-abc@x/v1"}, {}, "OPENAI_BASE_URL holds a user"),
        ({"OPENAI_API_KEY": "k"}, {"base_url_from": "MINE"}, "MINE is not set; it must hold the address of gpt-test"),
        ({"OPENAI_API_KEY": "k"}, {"key_from": "MINE"}, "MINE is not set; put the key"),
    ],
)
def test_a_key_or_address_that_is_none_is_said_before_anything_is_sent(
    variables: dict[str, str], changed: dict[str, Any], message: str, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=re.escape(message)) as raised, open_client("gpt", model(**changed)) as client:
        client.ask(questions(1), "")
    assert "sk-a" not in str(raised.value)


def test_a_key_with_a_stray_newline_works(ask: Callable[..., list[Answer]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", f" {KEY}\n")
    with Server() as server:
        ask(server, questions(1))
        assert server.calls[0].headers["authorization"] == f"Bearer {KEY}"


def test_an_answer_is_kept_before_the_last_one_comes(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def plays(number: int, call: Call) -> None:
        seen.append(len(list(cache.rows())))

    monkeypatch.setenv("NEUROGLOSS_CONCURRENCY", "1")
    with Server(plays) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        with open_client("gpt", model()) as client:
            client.ask(questions(4), "")
    assert seen == [0, 1, 2, 3]


def test_a_thinking_models_thoughts_are_left_out(ask: Callable[..., list[Answer]]) -> None:
    with Server(always(Play(200, chat("<think>\nhm\n</think>\n\nfruit", {"messages": []})))) as server:
        (answer,) = ask(server, questions(1))
    assert isinstance(answer, Reply)
    assert answer.text == "fruit"


def test_a_client_serves_several_batches(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    with Server() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        with open_client("gpt", model()) as client:
            assert isinstance(client, CachedClient)
            for text in "abc":
                assert answered(client.ask([question(text)], "")) == 1
        assert server.connections == 1


def test_messages_keep_their_order_and_roles(ask: Callable[..., list[Answer]]) -> None:
    turns = (Message("system", "s"), Message("user", "u"), Message("assistant", "a"), Message("user", "v"))
    with Server() as server:
        ask(server, [question("", messages=turns)])
        assert [(turn["role"], turn["content"]) for turn in server.calls[0].body["messages"]] == [
            (turn.role, turn.content) for turn in turns
        ]
