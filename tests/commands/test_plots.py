"""The committed metrics and curves work in DVC, and become pictures without a network."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from neurogloss.cli.main import app
from neurogloss.errors import UserError

ROOT = Path(__file__).parents[2]


def run(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def dvc(folder: Path, *arguments: str) -> str:
    return run(folder, sys.executable, "-m", "dvc", *arguments)


@pytest.fixture(scope="module")
def repository(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's dvc.yaml and templates in git, with one committed result and another in the workspace."""
    folder = tmp_path_factory.mktemp("repository")
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(ROOT / name, folder / name)
    for name in (".dvc/config", ".dvc/.gitignore"):
        (folder / ".dvc").mkdir(exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    shutil.copytree(ROOT / ".dvc" / "plots", folder / ".dvc" / "plots")
    shutil.copytree(finished / "metrics", folder / "metrics")
    for arguments in (["init", "-q"], ["add", "-A"], ["-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-qm", "a"]):
        run(folder, "git", *arguments)
    path = folder / "metrics" / "score.json"
    metrics = json.loads(path.read_text(encoding="utf-8"))
    metrics |= {"baseline": 0.123, "random_only": None}
    path.write_text(json.dumps(metrics), encoding="utf-8")
    return folder


def drawn(repository: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Result:
    monkeypatch.chdir(repository)
    return CliRunner().invoke(app, ["plots", *arguments])


def test_dvc_shows_every_metric_those_without_a_value_too(repository: Path) -> None:
    shown = json.loads(dvc(repository, "metrics", "show", "--json"))[""]["data"]["metrics/score.json"]["data"]
    assert list(shown)[:3] == ["score", "score_low", "score_high"]
    diff = json.loads(dvc(repository, "metrics", "diff", "--json"))["metrics/score.json"]
    assert set(diff) == {"baseline", "random_only"}
    assert diff["baseline"]["new"] == 0.123


def test_each_plot_becomes_a_png_and_an_svg_with_score_baseline_and_control(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert drawn(repository, monkeypatch, str(tmp_path)).exit_code == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        f"{n}.{e}" for n in ("distribution", "layers", "quantiles") for e in ("png", "svg")
    ]
    for name in ("distribution", "layers", "quantiles"):
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        svg = (tmp_path / f"{name}.svg").read_text(encoding="utf-8")
        for text in ("score", "baseline", "control", "workspace"):
            assert f">{text}<" in svg, (name, text)
        assert "NaN" not in svg and "undefined" not in svg


def test_two_revisions_are_drawn_over_each_other(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert drawn(repository, monkeypatch, str(tmp_path), "HEAD").exit_code == 0
    svg = (tmp_path / "distribution.svg").read_text(encoding="utf-8")
    assert ">HEAD<" in svg and ">workspace<" in svg


def test_an_unknown_revision_and_a_missing_file_are_errors(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    error = drawn(repository, monkeypatch, str(tmp_path), "nowhere").exception
    assert isinstance(error, UserError) and "unknown Git revision 'nowhere'" in str(error)
    kept = (repository / "metrics" / "by_layer.csv").read_text(encoding="utf-8")
    (repository / "metrics" / "by_layer.csv").unlink()
    try:
        error = drawn(repository, monkeypatch, str(tmp_path)).exception
    finally:
        (repository / "metrics" / "by_layer.csv").write_text(kept, encoding="utf-8")
    assert isinstance(error, UserError) and "metrics/by_layer.csv at workspace" in str(error)
    assert not list(tmp_path.iterdir())


def test_outside_of_a_repository_there_are_no_plots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    error = drawn(tmp_path, monkeypatch, "out").exception
    assert isinstance(error, UserError) and "run in the repository" in str(error)
