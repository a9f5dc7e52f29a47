"""table: the best and the worst, and a summary that says what was not scored."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from neurogloss.artifacts.results import read_results
from neurogloss.cli.main import app
from neurogloss.errors import UserError


def printed(folder: Path, *arguments: str) -> Result:
    paths = ["--data", str(folder / "data"), "--metrics", str(folder / "metrics" / "details.json")]
    return CliRunner().invoke(app, ["table", *paths, *arguments], env={"NO_COLOR": "1", "TERM": "dumb"})


def names(text: str) -> list[str]:
    return [line.split()[0] for line in text.splitlines() if line.strip().startswith("L")]


def test_best_and_worst_are_shown_in_order(finished: Path) -> None:
    scores = sorted(
        (s for s in read_results(finished / "data").scores.to_pylist() if s["status"] == "ok"), key=lambda s: -s["top_and_random"]
    )
    expected = [f"L{s['layer']}.N{s['neuron']}" for s in (*scores[:2], *scores[-2:])]
    assert names(printed(finished, "--rows", "2", "--width", "90").output) == expected


@pytest.mark.parametrize("width", [80, 100])
def test_it_fits_80_and_100_columns(finished: Path, width: int) -> None:
    text = printed(finished, "--width", str(width)).output
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width
    summary = text[text.rindex(" neurons, ") :].splitlines()
    assert [line.split()[0] for line in summary if line.strip() and not line.startswith(" ")] == [
        "score", "random", "baseline", "control", "margin", "sensitivity", "neurons",
    ]  # fmt: skip
    assert "words like" in text


def test_no_neuron_is_shown_twice_when_there_are_few(finished: Path) -> None:
    found = names(printed(finished, "--rows", "50", "--width", "90").output)
    assert len(found) == len(set(found)) == 11


def test_the_summary_is_that_of_the_metrics(finished: Path) -> None:
    metrics = json.loads((finished / "metrics" / "details.json").read_text(encoding="utf-8"))
    text = printed(finished, "--width", "100").output
    assert "12 neurons, 11 scored, 1 not (silent 1)" in text
    for measure in (metrics["top_and_random"], metrics["random_only"], metrics["baseline"]["token_table"], metrics["control"]):
        assert f"{measure['mean']:.3f} ({measure['ci_low']:.3f} to {measure['ci_high']:.3f})" in text


def test_a_scorer_is_shown_where_it_was_run(finished: Path, tmp_path: Path) -> None:
    assert "detection" not in printed(finished, "--width", "80").output
    (tmp_path / "metrics").mkdir()
    (tmp_path / "data").symlink_to(finished / "data")
    metrics = json.loads((finished / "metrics" / "details.json").read_text(encoding="utf-8"))
    found = {name: metrics["control"] | {"mean": mean, "ci_low": None} for name, mean in (("balanced_accuracy", 0.75), ("control", 0.49))}
    found = {"auc": metrics["control"] | {"mean": None}, "failed": 3} | found
    (tmp_path / "metrics" / "details.json").write_text(json.dumps(metrics | {"detection": found}), encoding="utf-8")
    lines = [line.split() for line in printed(tmp_path, "--width", "80").output.splitlines()]
    at = next(place for place, line in enumerate(lines) if line[:1] == ["detection"])
    assert lines[at][1] == "0.750" and lines[at][-3:] == ["3", "neurons", "without"]
    assert lines[at + 1][:2] == ["control", "0.490"] and lines[at + 2][0] == "neurons"


def test_metrics_of_another_result_are_refused(finished: Path, tmp_path: Path) -> None:
    (tmp_path / "metrics").mkdir()
    (tmp_path / "data").symlink_to(finished / "data")
    metrics = json.loads((finished / "metrics" / "details.json").read_text(encoding="utf-8"))
    (tmp_path / "metrics" / "details.json").write_text(json.dumps(metrics | {"neurons": 5}), encoding="utf-8")
    error = printed(tmp_path).exception
    assert isinstance(error, UserError) and "is about 5 neurons" in str(error)


def test_missing_metrics_say_what_to_run(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished / "data", tmp_path / "data")
    error = printed(tmp_path).exception
    assert isinstance(error, UserError) and "details.json is missing; run `dvc repro`" in str(error)
