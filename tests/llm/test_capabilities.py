import pytest

from stages.errors import UserError
from stages.llm.client import open_client
from stages.llm.request import Capability
from tests.llm.asking import model, question
from tests.llm.server import Call, Play, Server, always, chat

ALL: tuple[Capability, ...] = ("echo", "top_logprobs", "json_schema")


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-abc")
    monkeypatch.setattr("stages.machine.answer_timeout_s", lambda: 0.3)
    monkeypatch.setattr("stages.llm.pace.FIRST_WAIT_S", 0.01)
    monkeypatch.setattr("stages.llm.pace.LONGEST_WAIT_S", 0.02)


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


def test_the_params_have_the_last_word(monkeypatch: pytest.MonkeyPatch) -> None:
    with open_client("gpt", model(capabilities=["json_schema"])) as client:
        assert [client.offers(capability) for capability in ALL] == [False, False, True]


def test_a_method_that_needs_an_echo_ends_before_it_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = [question("", messages=(), prompt=f"{number}\tunknown\n", echo="unknown", max_tokens=0) for number in range(50)]
    with Server(echoes=False) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        with (
            pytest.raises(
                UserError, match=r"gpt-test gives no log-probabilities of a prompt; choose simulate.method generated.*models.gpt.capab"
            ),
            open_client("gpt", model()) as client,
        ):
            client.ask(asked, "")
        assert len(server.calls) == 1
