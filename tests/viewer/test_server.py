import socket
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from neurogloss.cli.view import view
from neurogloss.errors import UserError


def answer(address: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    request = urllib.request.Request(address, headers={name.replace("_", "-"): value for name, value in headers.items()})
    try:
        with urllib.request.urlopen(request, timeout=5) as found:
            return found.status, dict(found.headers), found.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, dict(error.headers), error.read()


def test_pages_come_with_a_strict_policy(small_view: str) -> None:
    status, headers, body = answer(small_view)
    assert status == 200
    assert b"<script defer" in body
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["cross-origin-resource-policy"] == "same-origin"


def test_another_host_name_is_refused(small_view: str) -> None:
    for host in ("evil.example", "evil.example:80", "127.0.0.1.evil.example", "[", ""):
        status, _, body = answer(small_view, Host=host)
        assert status in (400, 403), host
        assert b"<script" not in body
    assert answer(small_view, Host="localhost:1")[0] == 200


def test_another_sites_page_is_refused(small_view: str) -> None:
    assert answer(f"{small_view}data/about.js", Origin="http://evil.example")[0] == 403
    for origin in ("null", "http://[", "", "//"):
        assert answer(f"{small_view}data/about.js", Origin=origin)[0] == 403, origin
    assert answer(f"{small_view}data/about.js", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="no-cors")[0] == 403
    assert answer(f"{small_view}data/about.js", Sec_Fetch_Site="same-origin", Origin=small_view.rstrip("/"))[0] == 200
    assert answer(small_view, Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate")[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "../params.yaml",
        "%2e%2e/params.yaml",
        "data/../../params.yaml",
        "data/%2e%2e%2fabout.js",
        "data/neurons/99.js",
        "data/.js",
        "core.py",
        "data/",
    ],
)
def test_paths_cannot_leave_the_result(small_view: str, path: str) -> None:
    assert answer(small_view + path)[0] == 404


def test_a_busy_port_is_named(small_result: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(UserError, match=r"port \d+ is in use; choose another with --port"):
            view(small_result, port=taken.getsockname()[1])


def test_view_listens_to_this_machine_only_and_opens_what_it_prints(
    small_result: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[tuple[str, str | None]] = []

    def serve(app: object, bound: socket.socket, address: str | None) -> None:
        seen.append((bound.getsockname()[0], address))
        bound.close()

    monkeypatch.setattr("neurogloss.viewer.server.serve", serve)
    view(small_result, port=0)
    view(small_result, port=0, browser=False)
    printed = [line.split()[0] for line in capsys.readouterr().err.splitlines()]
    assert seen == [("127.0.0.1", printed[0]), ("127.0.0.1", None)]
    assert printed[0].startswith("http://127.0.0.1:")


def post(address: str, body: bytes, **headers: str) -> tuple[int, bytes]:
    request = urllib.request.Request(address + "api/text", body, {name.replace("_", "-"): value for name, value in headers.items()})
    try:
        with urllib.request.urlopen(request, timeout=20) as found:
            return found.status, found.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_only_the_page_itself_may_send_text(model_view: str) -> None:
    text = b'{"text": "the cat"}'
    assert post(model_view, text, Content_Type="application/json")[0] == 200
    assert post(model_view, text, Content_Type="text/plain")[0] == 415
    assert post(model_view, text, Content_Type="application/json", Origin="http://evil.example")[0] == 403
    assert post(model_view, text, Content_Type="application/json", Host="evil.example")[0] == 403


DEEP = b"[" * 100_000 + b"]" * 100_000


def test_a_request_that_is_no_text_is_refused(model_view: str) -> None:
    for body in (
        b"",
        b"[]",
        b'{"text": 3}',
        b"\xff\xfe",
        b"{" * 100,
        DEEP,
        b'{"text": ' + DEEP + b"}",
        b"1" * 5000,
        b'{"text": "' + b"a" * 1_100_000 + b'"}',
    ):
        status, answered = post(model_view, body, Content_Type="application/json")
        assert status == 400, body[:20]
        assert b"expected a JSON object" in answered
    assert post(model_view, b'{"text": "half \\ud800 here"}', Content_Type="application/json")[0] == 200
