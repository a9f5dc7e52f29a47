"""Every command in the documents runs, every link leads somewhere, and the first screen says what it has to."""

import csv
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import typer
from dvc.utils.hydra import apply_overrides

from neurogloss.cli.main import app
from neurogloss.config.params import load_params
from tests.toy import ROOT, Toy, surroundings

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
README = PAGES[0]
OWN = ("neurogloss", "dvc", "make", "export")

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(600)]


def commands(page: Path) -> list[str]:
    """The lines of indented blocks without their remarks: in README.md all but drawings, elsewhere those of our own programs."""
    lines = [line[4:] for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("    ") and line.strip()]
    lines = [re.split(r"\s{2,}#", line)[0].strip() for line in lines]
    return [line for line in lines if (line.split()[0] in OWN if page != README else "►" not in line)]


EVERY = [pytest.param(page, line, id=f"{page.name}: {line}") for page in PAGES for line in commands(page)]


def checked_params(overrides: list[str], folder: Path) -> None:
    """Params changed by -S are params."""
    copy = Path(shutil.copy(ROOT / "params.yaml", folder / "params.yaml"))
    if overrides:
        apply_overrides(copy, overrides)
    load_params(copy)


@pytest.mark.parametrize(("page", "line"), EVERY)
def test_a_command_in_the_documents_is_one_that_there_is(page: Path, line: str, tmp_path: Path) -> None:
    program, *arguments = shlex.split(line)
    assert program in OWN, f"{line}: add the program to this test"
    if program == "neurogloss":
        group = typer.main.get_command(app)
        command, rest = group, arguments
        while hasattr(command, "commands") and rest and rest[0] in command.commands:
            command, rest = command.commands[rest[0]], rest[1:]
        assert command is not group, f"neurogloss {arguments[0]}: no such command"
        command.make_context(line, list(rest))  # Raises for an option that there is not, or an argument that is missing.
    if program == "make":
        settings = {"env": surroundings(), "cwd": ROOT, "capture_output": True, "text": True, "check": False}
        done = subprocess.run(["make", "-n", *arguments], **settings)  # type: ignore[call-overload]  # keywords of one type each
        assert done.returncode == 0, done.stderr
    if program == "export":
        assert re.match(r"[A-Z_]+=\S", arguments[0])
    checked_params([arguments[at + 1] for at, one in enumerate(arguments) if one in ("-S", "--set-param")], tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.name))
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
        assert target.startswith("https://") or (page.parent / target).exists(), target


def test_the_readme_links_the_pages_that_a_newcomer_needs() -> None:
    text = README.read_text(encoding="utf-8")
    wanted = (
        "trust",
        "methods",
        "strong-explainer",
        "pull-requests",
        "tracking",
        "viewer",
        "units",
        "cluster",
        "machine",
        "architecture",
        "words",
    )
    assert all(f"](docs/{name}.md)" in text for name in wanted) and "](docs/)" in text


def test_the_first_screen_shows_a_picture_two_numbers_and_three_commands() -> None:
    first = README.read_text(encoding="utf-8").splitlines()[:32]
    text = "\n".join(first)
    assert "![" in text and "a strong model's sentence |" in text and "the default's phrases |" in text and "floor" in text
    assert [line.split()[:2] for line in first if line.startswith("    make")] == [["make", "run"], ["make", "compare"], ["make", "ui"]]
    assert re.search(r"takes \d\.\d GB and \w+ minutes", text)
    assert len(README.read_text(encoding="utf-8").splitlines()) < 130


def test_a_unit_in_the_documents_is_one_of_the_committed_result() -> None:
    with (ROOT / "metrics" / "examples.csv").open(encoding="utf-8", newline="") as file:
        there = {row["neuron"] for row in csv.DictReader(file)}
    named = {argument for page in PAGES for line in commands(page) for argument in line.split() if re.fullmatch(r"L\d+\.N\d+", argument)}
    assert named and named <= there


def test_what_the_readme_shows_of_a_result_runs_on_one(done: Toy, tmp_path: Path) -> None:
    shutil.copytree(done.folder, tmp_path / "toy", symlinks=True)
    toy = Toy(tmp_path / "toy")
    shown = [shlex.split(line)[1:] for line in commands(README) if line.startswith("neurogloss ")]
    assert {arguments[0] for arguments in shown} == {"view", "show", "table", "site", "compare", "plan"}
    more = {"site": ["--no-model"], "compare": ["--no-log"]}
    for arguments in shown:
        if arguments[0] != "view":
            given = ["L0.N0" if re.fullmatch(r"L\d+\.N\d+", one) else one for one in arguments]
            toy.neurogloss(*given, *more.get(arguments[0], []), OPENAI_API_KEY="")
    assert (toy.folder / "OUT" / "index.html").exists()


@pytest.mark.slow  # The toy pipeline runs once more.
def test_the_experiment_in_the_readme_runs(done: Toy, tmp_path: Path) -> None:
    shutil.copytree(done.folder, tmp_path / "toy", symlinks=True)
    toy = Toy(tmp_path / "toy")
    first = next(line for line in commands(README) if line.startswith("dvc exp run"))
    toy.dvc(*shlex.split(first)[1:])
    assert toy.neurogloss("compare", "HEAD", "workspace", "--brief", "--no-log").stdout.startswith("workspace is ")
