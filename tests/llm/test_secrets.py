import logging
import traceback
from pathlib import Path

import pytest

from neurogloss.errors import UserError
from neurogloss.llm.client import open_client
from neurogloss.llm.openai.endpoint import Endpoint, endpoint
from tests.llm.asking import model, questions
from tests.llm.server import PLAYS, Play, Server, always, faulty

KEY = "zz-my-own-key-998877"
PASSWORD = "hunter2hunter2"


@pytest.mark.parametrize("play", ["ok", "faulty", *PLAYS])
def test_no_artefact_holds_the_key(
    play: str, repository: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setattr("neurogloss.config.environment.answer_timeout_s", lambda: 0.1)
    monkeypatch.setattr("neurogloss.llm.openai.limiter.FIRST_WAIT_S", 0.001)
    monkeypatch.setattr("neurogloss.llm.openai.limiter.LONGEST_WAIT_S", 0.002)
    leaky = Play(400, '{"error": {"message": "malformed, with the key KEY in it"}}')
    plays = {"ok": always("ok"), "faulty": faulty(0.3, 0), "malformed": always(leaky)}
    shown = ""
    with Server(plays.get(play, always(play))) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("NEUROGLOSS_RETRY_S", "1")
        try:
            with open_client("gpt", model(), stage="explain") as client:
                shown = repr(client.ask(questions(5), "x")) + repr(client.offers("echo"))
        except UserError as error:
            shown = "".join(traceback.format_exception(error)) + repr(error)
        assert KEY in server.calls[0].headers["authorization"]
    files = [path for path in repository.rglob("*") if path.is_file()]
    assert any(path.name == "llm.sqlite" for path in files)
    assert any(path.name == "explain.json" for path in files)
    everything = b"".join(path.read_bytes() for path in files).decode("latin-1") + shown + caplog.text + "".join(capfd.readouterr())
    assert KEY not in everything
    assert "Bearer" not in everything


@pytest.mark.parametrize("address", [f"http://user:{PASSWORD}@host/v1", f"http://host/v1?token={PASSWORD}", f"http://host/v1#{PASSWORD}"])
def test_an_address_with_a_password_is_refused_without_showing_it(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", address)
    with pytest.raises(UserError, match="OPENAI_BASE_URL holds a user, a password or a query") as raised:
        endpoint(model())
    assert PASSWORD not in str(raised.value)


def test_an_endpoint_shows_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://[::1]:8000/v1/")
    place = endpoint(model())
    assert place.shown == "http://[::1]:8000/v1"
    assert KEY not in repr(place)


def test_what_looks_like_a_key_is_not_shown() -> None:
    place = Endpoint("http://x/v1", KEY, "K", "U")
    assert place.redacted(f"wrong key {KEY}\nor sk-proj-abc***xyz or hf_abcdefghij") == "wrong key [key] or [key] or [key]"
