import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as example_settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from neurogloss.cli.main import app
from neurogloss.errors import UserError
from neurogloss.llm.cache import Cache, CachedReply
from neurogloss.llm.exchange import export_replies, import_replies
from neurogloss.llm.request import PaidError, Reply, TokenLogprobs, Usage
from tests.llm.asking import questions

ROWS = [
    (questions(1)[0].key, CachedReply("gpt", Reply('\ud83d\t\n"', "stop", (TokenLogprobs("5", {"5": -0.5}),), Usage(9, 2, 1)), 0.25, 1.5)),
    ("f" * 64, CachedReply("other", PaidError("refused", "no", Usage(3, 0, 1), "never"), 0.125, 0.5)),
]


@pytest.fixture
def full(cache: Cache) -> Cache:
    cache.keep_all(ROWS)
    return cache


def shown(cache: Cache) -> list[str]:
    return [f"{key} {kept}" for key, kept in cache.rows()]


def test_an_export_is_read_back_as_it_was(full: Cache, tmp_path: Path) -> None:
    assert export_replies(full, tmp_path / "a.jsonl") == 2
    other = Cache(tmp_path / "other.sqlite")
    assert import_replies(other, tmp_path / "a.jsonl") == (2, 0)
    assert import_replies(other, tmp_path / "a.jsonl") == (0, 2)
    assert shown(other) == shown(full)
    export_replies(other, tmp_path / "b.jsonl")
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"key": "abc"}, "line 3: no reply .key 'abc' is no sha256"),
        ({"status": "great"}, "line 3: no reply .status 'great' is unknown"),
        ({"prompt": -1}, "must be numbers from 0"),
        ({"prompt": "9"}, "must be numbers from 0"),
        ({"reply": {"text": "x"}}, "line 3: no reply"),
        ({"reply": [1]}, "line 3: no reply"),
        ({"extra": 1}, "fields .'extra'. missing or unknown"),
    ],
)
def test_a_line_that_is_no_reply_adds_nothing(changed: dict[str, object], message: str, full: Cache, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    export_replies(full, path)
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([*lines[:2], json.dumps(json.loads(lines[2]) | changed)]), encoding="utf-8")
    other = Cache(tmp_path / "other.sqlite")
    with pytest.raises(UserError, match=message):
        import_replies(other, path)
    assert not shown(other)


@example_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.binary(max_size=60))
def test_any_file_is_replies_or_one_message(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(content)
    with pytest.raises(UserError, match=str(path)):
        import_replies(Cache(tmp_path / "other.sqlite"), path)


def test_the_command_shows_what_was_paid_and_saved(full: Cache, tmp_path: Path) -> None:
    full.count_hits("gpt", 3, 0.75)
    full.change("INSERT INTO endpoints VALUES ('http://localhost:8000/v1', 'm', 'echo', 1)")
    done = CliRunner().invoke(app, ["cache"], env={"COLUMNS": "150"})
    assert done.exit_code == 0
    lines = [line.replace("│", " ").split() for line in done.output.splitlines()]
    assert ["gpt", "1", "0", "9", "1", "$0.2500", "3", "$0.7500"] in lines
    assert ["other", "1", "1", "3", "1", "$0.1250", "0", "$0.0000"] in lines
    assert ["http://localhost:8000/v1", "m", "echo", "yes"] in lines


def test_the_command_exports_and_imports(full: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "a.jsonl")
    assert "2 replies in" in CliRunner().invoke(app, ["cache", "export", path]).output
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "elsewhere"))
    assert "not there yet" in CliRunner().invoke(app, ["cache"]).output
    assert "2 replies added, 0 known already" in CliRunner().invoke(app, ["cache", "import", path]).output
