"""docs/offline-answers.md: every command on it, in its order, against a server on this machine and then without any."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from neurogloss.artifacts.recordings import Recordings, write_recordings
from tests.llm.server import Call, Play, Server, chat, error

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "offline-answers.md").read_text(encoding="utf-8")
COMMANDS = [line.strip().split("  ")[0] for line in PAGE.splitlines() if line.startswith(("    dvc", "    neurogloss", "    python"))] + [
    "neurogloss cache export replies.jsonl",
    "neurogloss cache import replies.jsonl",
]
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]


def answered(number: int, call: Call) -> Play:
    simulating = "Most levels are 0" in call.body["messages"][0]["content"]
    return Play(body=chat("2:7 3:9" if simulating else f"words about river {number}", call.body))


@pytest.fixture
def folder(tmp_path: Path, recordings: Recordings) -> Path:
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["explain"] |= {"method": "pairs", "model": "openai"}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    write_recordings(tmp_path / "data" / "recordings", recordings)
    return tmp_path


def run(folder: Path, *words: str, **environment: str) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "DVC_"))}
    surroundings = kept | {"PYTHONPATH": str(ROOT), "DVC_ROOT": str(folder)} | environment
    done = subprocess.run([sys.executable, *words], cwd=folder, env=surroundings, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, (words, done.stderr)
    return done.stdout + done.stderr


def test_the_page_takes_a_run_through_without_an_endpoint(folder: Path) -> None:
    said = []
    with Server(answered) as server:
        rounds = [command for command in COMMANDS if command != "dvc repro record" and command != "dvc repro"]
        for command in [*rounds[:3], *rounds[:3], rounds[0], *rounds[-2:]]:
            program, *words = shlex.split(command)
            place = {"OPENAI_BASE_URL": server.url} if program == "python" else {}
            said.append(run(folder, *(["-m", "neurogloss"] if program == "neurogloss" else []), *words, **place))
        assert len(server.calls) == 87
    assert "7 questions of explain for openai (gpt-4.1-mini)" in said[0]
    assert "7 answers added, 0 known already" in said[2]
    assert "questions of simulate" in said[3]
    assert "80 answers added, 7 known already" in said[5]
    assert "every question is answered, so questions.jsonl is empty" in said[6]
    assert "87 replies in replies.jsonl" in said[7] and "0 replies added, 87 known already" in said[8]
    for stage in ("explain", "refine", "simulate"):
        run(folder, *shlex.split(STAGES[stage]["cmd"])[1:])
    assert (folder / "data" / "simulations" / "simulations.json").exists()


def test_the_example_keeps_what_a_server_refuses_and_asks_again_what_failed(tmp_path: Path) -> None:
    """At a server behind a path and with a query."""
    lines = [{"custom_id": name, "url": "/v1/chat/completions", "body": {"messages": [name]}} for name in "abc"]
    (tmp_path / "q.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    example = [str(ROOT / "examples" / "answer_questions.py"), str(tmp_path / "q.jsonl"), str(tmp_path / "a.jsonl")]

    def plays(number: int, call: Call) -> Play | str | None:
        name = call.body["messages"][0]
        return {"a": error(400, "flagged", "content_filter"), "b": "503" if number < 3 else None}.get(name)

    with Server(plays) as server:
        place = f"{server.url}/proxy?api-version=1"
        for _ in range(2):
            run(tmp_path, *example, OPENAI_BASE_URL=place)
        assert {call.path for call in server.calls} == {"/v1/proxy/chat/completions?api-version=1"}
        assert sorted(call.body["messages"][0] for call in server.calls) == ["a", "a", "b", "b", "c"]
    rows = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text(encoding="utf-8").splitlines()]
    said = [(row["custom_id"], row["response"]["status_code"]) for row in rows]
    assert said == [("a", 400), ("b", 503), ("c", 200), ("a", 400), ("b", 200)]
    assert rows[0]["response"]["body"]["error"]["code"] == "content_filter"


def test_the_page_shows_no_other_command() -> None:
    assert COMMANDS == [
        "dvc repro record",
        "neurogloss questions questions.jsonl",
        "python examples/answer_questions.py questions.jsonl answers.jsonl",
        "neurogloss cache import answers.jsonl",
        "neurogloss questions questions.jsonl",
        "dvc repro",
        "neurogloss cache export replies.jsonl",
        "neurogloss cache import replies.jsonl",
    ]
