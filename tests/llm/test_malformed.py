"""Answers that no server should give: each is a fault of its own request, and what others were paid for is kept."""

import gzip
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from neurogloss.errors import ProviderError
from neurogloss.llm.client import open_client
from neurogloss.llm.openai.batch import rows
from neurogloss.llm.openai.faults import fault
from neurogloss.llm.request import Answer, Reply
from tests.llm.asking import model, questions

HEAD = b"HTTP/1.1 200 OK\r\nconnection: close\r\n"


def whole(body: bytes, more: bytes = b"") -> bytes:
    return HEAD + more + b"content-length: %d\r\n\r\n" % len(body) + body


def chat(text: str, **usage: float) -> bytes:
    entry = {"token": text, "logprob": -0.1, "top_logprobs": [{"token": text, "logprob": -0.1}]}
    choice = {"message": {"content": text}, "finish_reason": "stop", "logprobs": {"content": [entry]}}
    return json.dumps({"choices": [choice], "usage": {"prompt_tokens": 3, "completion_tokens": 2} | usage}).encode()


PLAIN = chat("fruit")
MALFORMED = {
    "a large cookie": whole(PLAIN, b"set-cookie: " + b"a" * 9000 + b"\r\n"),
    "a bad status line": b"HTTP/1.1 abc\r\n\r\n",
    "two lengths": whole(PLAIN, b"content-length: 3\r\n"),
    "a NUL in a header": whole(PLAIN, b"x-a: b\x00c\r\n"),
    "a deep array": whole(b"[" * 200_000),
    "an unusable charset": whole(PLAIN, b"content-type: application/json; charset=idna\r\n"),
    "no gzip": whole(PLAIN, b"content-encoding: gzip\r\n"),
    "half a gzip": whole(gzip.compress(PLAIN)[:20], b"content-encoding: gzip\r\n"),
    "bytes": bytes(range(256)),
}


class RawServer:
    """Answers the first call of a question that contains "question 3" with these bytes, every other with a plain answer."""

    def __init__(self, odd: bytes) -> None:
        self.odd = odd
        self.listening = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self.listening.getsockname()[1]}/v1"
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self) -> None:
        while True:
            try:
                taken, _ = self.listening.accept()
            except OSError:
                return
            with taken:
                got = b""
                while b"question " not in got or not got.endswith(b"}"):
                    part = taken.recv(65536)
                    if not part:
                        break
                    got += part
                try:
                    taken.sendall(self.odd if b'question 3"' in got else whole(PLAIN))
                except OSError:
                    continue

    def close(self) -> None:
        self.listening.shutdown(socket.SHUT_RDWR)
        self.listening.close()
        self.thread.join(10)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-verysecret-0123456789")
    monkeypatch.setattr("neurogloss.config.environment.answer_timeout_s", lambda: 2)
    monkeypatch.setattr("neurogloss.llm.openai.limiter.FIRST_WAIT_S", 0.001)
    monkeypatch.setattr("neurogloss.llm.openai.limiter.LONGEST_WAIT_S", 0.002)
    yield


def ask(odd: bytes, monkeypatch: pytest.MonkeyPatch) -> list[Answer]:
    server = RawServer(odd)
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    try:
        with open_client("gpt", model(), stage="explain") as client:
            return client.ask([replace(asked, top_logprobs=1) for asked in questions(8)], "")
    finally:
        server.close()


@pytest.mark.parametrize("odd", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_answer_costs_its_own_request_alone(odd: bytes, quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = ask(odd, monkeypatch)
    assert all(isinstance(answer, Reply) and answer.text == "fruit" for number, answer in enumerate(answers) if number != 3)
    assert isinstance(answers[3], Reply | ProviderError)


def test_half_an_emoji_in_an_answer_is_repaired(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    said = ask(whole(chat("boats \ud83d")), monkeypatch)[3]
    assert isinstance(said, Reply)
    assert said.text == "boats \ufffd"
    assert (said.tokens[0].token, list(said.tokens[0].alternatives)) == ("boats \ufffd", ["boats \ufffd"])


def test_an_impossible_count_of_tokens_is_none(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    said = ask(whole(chat("fruit", prompt_tokens=1e30)), monkeypatch)[3]
    assert isinstance(said, Reply)
    assert said.usage.prompt < 100


def test_a_redirect_is_not_followed() -> None:
    problem = fault(307, {}, "")
    assert problem is not None
    assert (problem.what, "not followed" in problem.message) == ("stop", True)


def test_a_line_separator_within_a_string_does_not_split_a_row_of_a_batch() -> None:
    assert list(rows('{"a": "x\u2028y"}\n' + "[" * 200_000 + '\n{"b": 1}\n')) == [{"a": "x\u2028y"}, {"b": 1}]
