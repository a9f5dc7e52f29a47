import logging
import traceback
from pathlib import Path
from typing import Any

import pytest

from neurogloss.config.params import load_params
from neurogloss.errors import UserError
from neurogloss.llm.cache import Cache
from neurogloss.llm.client import open_client
from neurogloss.llm.openai.endpoint import Endpoint, endpoint
from neurogloss.llm.request import Reply
from tests.llm.asking import model, question, questions
from tests.llm.server import PLAYS, Play, Server, always, chat, faulty

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


@pytest.mark.parametrize("address", [f"http://user:{PASSWORD}@host/v1", f"http://host/v1#{PASSWORD}"])
def test_an_address_with_a_password_is_refused_without_showing_it(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", address)
    with pytest.raises(UserError, match="OPENAI_BASE_URL holds a user, a password or a fragment.*Put a key into OPENAI_API_KEY") as raised:
        endpoint(model())
    assert PASSWORD not in str(raised.value)


def test_an_endpoint_shows_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://[::1]:8000/v1/")
    place = endpoint(model())
    assert place.shown == "http://[::1]:8000/v1"
    assert KEY not in repr(place)


def test_an_address_of_its_own_says_where_a_key_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINE", f"http://user:{PASSWORD}@host/v1")
    with pytest.raises(UserError, match=r"Put a key into a variable that models.\*.key_from names") as raised:
        endpoint(model(base_url_from="MINE"))
    assert PASSWORD not in str(raised.value)


def test_a_query_and_headers_are_sent_and_never_shown(
    monkeypatch: pytest.MonkeyPatch, cache: Cache, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    header, queried = "0f1e2d3c4b5a69788796a5b4c3d2e1f0", "querysecret12345"
    monkeypatch.setenv("AZURE_KEY", header)
    echo = Play(200, chat(f"fruit {header} and {queried} and 2024-10-21", {"messages": []}))
    with Server(always(echo)) as server:
        monkeypatch.setenv("GATEWAY", f"{server.url}/?api-version=2024-10-21&code={queried}")
        with open_client("gpt", model(base_url_from="GATEWAY", headers_from={"api-key": "AZURE_KEY"})) as client:
            (answer,) = client.ask(questions(1), "")
        call = server.calls[0]
    assert call.path == f"/v1/chat/completions?api-version=2024-10-21&code={queried}"
    assert call.headers["api-key"] == header
    assert "authorization" not in call.headers
    assert isinstance(answer, Reply)
    assert answer.text == "fruit [key] and [key] and 2024-10-21"
    stored = b"".join(path.read_bytes() for path in cache.path.parent.rglob("*") if path.is_file()).decode("latin-1")
    for secret in (header, queried):
        assert secret not in stored + caplog.text


def test_a_key_that_a_server_echoes_is_not_kept_but_a_word_is(monkeypatch: pytest.MonkeyPatch, cache: Cache) -> None:
    for key, text in ((KEY, f"my key is {KEY}"), ("ollama", "words about ollama, a runner of models")):
        monkeypatch.setenv("OPENAI_API_KEY", key)
        with Server(always(Play(200, chat(text, {"messages": []})))) as server:
            monkeypatch.setenv("OPENAI_BASE_URL", server.url)
            with open_client("gpt", model(revision=key[:2])) as client:
                (answer,) = client.ask([question(text)], "")
        assert isinstance(answer, Reply)
        assert answer.text == text.replace(KEY, "[key]")


def test_what_is_openais_own_goes_to_openai_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-1")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "x-mine: 1")
    assert endpoint(model()).headers == {"authorization": f"Bearer {KEY}", "openai-organization": "org-1", "openai-project": "proj-1"}
    with Server() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        with open_client("gpt", model()) as client:
            client.ask(questions(1), "")
        assert not {"openai-organization", "openai-project", "x-mine"} & set(server.calls[0].headers)


@pytest.mark.parametrize(
    ("changed", "variables", "message"),
    [
        ({"headers_from": {"api-key": "AZURE_KEY"}}, {}, "AZURE_KEY is not set; put what http://x/v1 wants in that header into it"),
        ({"headers_from": {"api-key": "AZURE_KEY"}}, {"AZURE_KEY": "a\nb"}, "AZURE_KEY holds a blank, a line break"),
        ({"headers_from": {"authorization": "AZURE_KEY"}}, {"AZURE_KEY": "Basic dXNlcjpwYXNz"}, ""),
    ],
)
def test_a_header_that_is_none_is_said_before_anything_is_sent(
    changed: dict[str, Any], variables: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINE", "http://x/v1")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    if not message:
        assert endpoint(model(base_url_from="MINE", **changed)).headers == {"authorization": "Basic dXNlcjpwYXNz"}
        return
    with pytest.raises(UserError, match=message):
        endpoint(model(base_url_from="MINE", **changed))
    assert endpoint(model(base_url_from="MINE", **changed), need_key=False) if not variables else True


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("key_from: sk-proj-0123456789abcdef", "models.openai.key_from: it takes the name of an environment variable"),
        ("key_from: a0123456789abcdef0123456789abcdef", "models.openai.key_from: it takes the name of an environment variable"),
        ("headers_from: {api-key: 'not a name'}", "models.openai.headers_from: it takes the name of an environment variable"),
        ("headers_from: {'a b': X}", "a b is no header that can be set here"),
        ("headers_from: {Content-Length: X}", "Content-Length is no header that can be set here"),
        ("headers_from: X", "models.openai.headers_from: input should be a valid dictionary"),
    ],
)
def test_what_names_no_variable_is_one_line_without_it(line: str, message: str, tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "params.yaml").read_text(encoding="utf-8")
    path = tmp_path / "params.yaml"
    path.write_text(text.replace("    name: gpt-4.1-mini\n", f"    name: gpt-4.1-mini\n    {line}\n"), encoding="utf-8")
    with pytest.raises(UserError) as raised:
        load_params(path)
    assert message in str(raised.value)
    assert "0123456789" not in str(raised.value)


def test_what_looks_like_a_key_is_not_shown() -> None:
    place = Endpoint("http://x/v1", KEY, "K", "U")
    assert place.redacted(f"wrong key {KEY}\nor sk-proj-abc***xyz or hf_abcdefghij") == "wrong key [key] or [key] or [key]"
