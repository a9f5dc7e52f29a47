"""Whatever is done with the repository, there are as many runs as distinct results: none twice, none missing, none half."""

import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest

from neurogloss.comparison.lock import read_lock
from neurogloss.comparison.result import Paths
from neurogloss.comparison.revisions import History
from neurogloss.tracking.store import Store, runs_of
from neurogloss.tracking.syncing import distinct
from tests.toy import Toy, make_toy, surroundings

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(3000)]


class Operations:
    """A repository, what can be done with it, and the keys of the results that it must have runs of by now."""

    def __init__(self, toy: Toy, seed: int) -> None:
        self.toy = toy
        self.rng = random.Random(seed)
        self.keys: set[str] = set()
        self.killed: set[str] = set()
        """Results whose tracking was killed: they may have a run, if the kill came late."""
        self.halves = 0
        """Kills that left half a run."""
        self.clones = 0
        database = toy.folder / ".mlflow" / "mlflow.db"
        self.store = Store(f"sqlite:///{database}", database, toy.folder)
        self.started = False

    def variants(self) -> tuple[str, str]:
        """Two values of one param."""
        name, values = self.rng.choice(
            [
                ("explain.concepts.phrases", ("1", "2", "3", "4")),
                ("explain.method", ("concepts", "token_list")),
                ("explain.temperature", ("0.5", "1.0")),
            ]
        )
        first, second = self.rng.sample(values, 2)
        return f"{name}={first}", f"{name}={second}"

    def variant(self) -> str:
        return self.variants()[0]

    def set_variant(self) -> None:
        name, _, value = self.variant().partition("=")
        typed: object = value if name.endswith("method") else float(value) if name.endswith("temperature") else int(value)
        self.toy.set_params(**{name.replace(".", "__"): typed})

    def note(self, folder: Path | None = None) -> None:
        self.keys.add(read_lock((folder or self.toy.folder) / "dvc.lock").key)

    def start(self) -> None:
        """What must come first: a result in a commit."""
        self.toy.dvc("repro")
        self.commit()
        self.note()

    def commit(self) -> None:
        self.toy.git("add", "-A")
        self.toy.git("commit", "-qm", "Result", "--allow-empty")

    def repro(self) -> None:
        self.set_variant()
        self.toy.dvc("repro")
        if self.rng.random() < 0.5:
            self.commit()
        self.note()

    def nothing(self) -> None:
        self.toy.dvc("repro")
        self.note()

    def force(self) -> None:
        self.toy.dvc("repro", "--force")
        self.note()

    def experiment(self) -> None:
        """In the workspace, where it changes params.yaml."""
        self.toy.dvc("exp", "run", "-S", self.variant())
        self.note()

    def back_and_forth(self) -> None:
        """The same, to another value and back."""
        first, second = self.variants()
        for change in (first, second, first):
            self.toy.dvc("exp", "run", "-S", change)
            self.note()

    def temporary(self) -> None:
        self.toy.dvc("exp", "run", "--temp", "-S", self.variant())

    def queue(self) -> None:
        for _ in range(2):
            self.toy.dvc("exp", "run", "--queue", "-S", self.variant())
        self.toy.dvc("exp", "run", "--run-all", "-j", "2")

    def checkout(self) -> None:
        commits = self.toy.git("log", "--all", "--format=%H", "main", "--", "dvc.lock").split()
        self.toy.git("checkout", "-qf", self.rng.choice(commits))
        self.toy.dvc("checkout", "-q", check=False)
        self.toy.dvc("repro")
        self.note()

    def clone(self) -> None:
        """Somewhere else, with the data from a remote and the runs in the same store."""
        self.clones += 1
        self.commit()
        remote, folder = self.toy.folder.parent / "remote", self.toy.folder.parent / f"clone{self.clones}"
        self.toy.run("git", "clone", "-q", str(self.toy.folder), str(folder))
        self.toy.dvc("remote", "add", "-f", "-d", "--local", "here", str(remote))
        self.toy.dvc("push", "-q")
        other = Toy(folder)
        other.dvc("remote", "add", "-d", "--local", "here", str(remote))
        other.dvc("pull", "-q", "--allow-missing")
        said = other.dvc("repro", MLFLOW_TRACKING_URI=self.store.uri)
        assert "Running stage 'score'" not in said
        self.note(folder)
        shutil.rmtree(folder)

    def kill(self) -> None:
        """Kill everything while a run is half written, at any moment of it."""
        self.toy.set_params(explain__seed=self.rng.randrange(10**6))
        command = [sys.executable, "-m", "dvc", "repro"]
        process = subprocess.Popen(
            command, cwd=self.toy.folder, env=surroundings(), start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while process.poll() is None and not half_written(self.store):
            time.sleep(0.005)
        time.sleep(self.rng.random() * 1.5)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self.halves += half_written(self.store)
        self.killed.add(read_lock(self.toy.folder / "dvc.lock").key)
        if self.rng.random() < 0.5:
            self.nothing()

    def check(self) -> None:
        """The last word: one run per result of the working tree, of every commit and of every experiment."""
        self.nothing()
        found, _ = distinct(History(self.toy.folder), Paths())
        self.keys |= {result.lock.key for result in found}
        runs = runs_of(self.store)
        assert [run for run in runs if not run.complete] == []
        tracked = [run.key for run in runs]
        assert len(tracked) == len(set(tracked)), "a result has two runs"
        assert self.keys <= set(tracked), "a result has no run"
        assert set(tracked) <= self.keys | self.killed, "a run is of no result"


def half_written(store: Store) -> bool:
    """Whether a run lacks the last tag, while another process writes it: `runs_of` would wait for that one's lock."""
    assert store.database
    with suppress(sqlite3.Error), closing(sqlite3.connect(f"{store.database.as_uri()}?mode=ro", uri=True)) as connection:
        whole = "SELECT run_uuid FROM tags WHERE key = 'track.complete'"
        (count,) = connection.execute(
            f"SELECT count(*) FROM runs WHERE lifecycle_stage = 'active' AND run_uuid NOT IN ({whole})"
        ).fetchone()
        return bool(count)
    return False


def work_off(toy: Toy, workers: int) -> None:
    """Run what is queued. DVC at times waits for ever for a worker that has nothing left to do (its issue 10398): then both are ended."""
    command = [sys.executable, "-m", "dvc", "exp", "run", "--run-all", "-j", str(workers)]
    process = subprocess.Popen(
        command, cwd=toy.folder, env=surroundings(), start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    time.sleep(10)
    while process.poll() is None and re.search("Queued|Running", toy.dvc("queue", "status")):
        time.sleep(2)
    try:
        process.wait(timeout=60)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for path in (toy.folder / ".dvc" / "tmp" / "exps" / "celery").glob("*.pid"):
            with suppress(ProcessLookupError):
                os.kill(int(path.read_text(encoding="utf-8")), signal.SIGKILL)


@pytest.mark.slow  # Half a minute of DVC.
def test_a_few_operations_leave_one_run_per_result(done: Toy, tmp_path: Path) -> None:
    shutil.copytree(done.folder, tmp_path / "toy", symlinks=True)
    operations = Operations(Toy(tmp_path / "toy"), 1)
    operations.note()
    operations.experiment()
    operations.checkout()
    operations.nothing()
    operations.check()
    assert len(runs_of(operations.store)) == 2


def test_another_price_limit_or_capability_runs_no_stage_again_and_makes_no_run(done: Toy, tmp_path: Path) -> None:
    shutil.copytree(done.folder, tmp_path / "toy", symlinks=True)
    operations = Operations(Toy(tmp_path / "toy"), 0)
    operations.toy.set_params(
        limits__max_failed_share=0.5, endpoints={"smollm2": {"price": {"prompt": 2.0}, "capabilities": ["echo"]}, "openai": {}}
    )
    said = operations.toy.dvc("repro")
    assert re.findall(r"Running stage '(\w+)'", said) == ["track"] and "already tracked" in said
    assert len(runs_of(operations.store)) == 1


@pytest.mark.slow  # An experiment of DVC and a comparison, a quarter of a minute.
def test_a_copied_project_leaves_its_original_as_it_was(done: Toy, tmp_path: Path) -> None:
    """Under a name that holds what ends or changes a path in an address."""
    before = {path: path.read_bytes() for path in done.folder.rglob("*") if path.is_file()}
    shutil.copytree(done.folder, tmp_path / '50%25 off? it\'s "B" #1', symlinks=True, copy_function=shutil.copy)
    copied = Operations(Toy(tmp_path / '50%25 off? it\'s "B" #1'), 0)
    copied.toy.dvc("exp", "run", "-n", "four", "-S", "explain.concepts.phrases=4")
    said = copied.toy.neurogloss("compare", "main", "four")
    assert "in 2 MLflow run(s)" in said.stderr
    assert {path: path.read_bytes() for path in done.folder.rglob("*") if path.is_file()} == before
    runs = runs_of(copied.store)
    assert [run.experiment for run in runs] == ["", "four"]
    for run in runs:
        folder = copied.toy.folder / ".mlflow" / "artifacts" / run.run_id / "artifacts"
        assert run.artifacts == folder.as_uri()
        assert {"scores.parquet", "explanations.parquet"} <= {path.name for path in (folder / "result").iterdir()}
        assert (folder / "comparisons" / "main_vs_four.png").exists()
    assert {path.name for path in tmp_path.iterdir()} == {copied.toy.folder.name}


@pytest.mark.slow  # Thirty operations of DVC, with two workers and killed processes, take minutes.
@pytest.mark.parametrize("seed", [20])
def test_thirty_random_operations_leave_one_run_per_result(tmp_path: Path, seed: int) -> None:
    operations = Operations(make_toy(tmp_path / "toy"), seed)
    operations.start()
    kinds = [
        operations.repro, operations.nothing, operations.force, operations.experiment, operations.back_and_forth,
        operations.temporary, operations.queue, operations.checkout, operations.clone, operations.kill,
    ]  # fmt: skip
    chosen = kinds * 3
    operations.rng.shuffle(chosen)
    for step, operation in enumerate(chosen):
        sys.stderr.write(f"{step} {operation.__name__}\n")
        operation()
    operations.check()
    assert operations.halves, "no kill came while a run was half written"
    assert len(operations.keys) >= 10, "hardly anything was different"


@pytest.mark.slow  # Four workers of DVC's queue, each with its own start, take about a minute.
def test_four_workers_and_no_database_yet_make_four_runs(tmp_path: Path) -> None:
    toy = make_toy(tmp_path / "toy")
    for phrases in range(1, 5):
        toy.dvc("exp", "run", "--queue", "-S", f"explain.concepts.phrases={phrases}")
    work_off(toy, 4)
    operations = Operations(toy, 0)
    runs = runs_of(operations.store)
    assert len({run.key for run in runs}) == len(runs) == 4 and all(run.complete for run in runs)


@pytest.mark.slow  # The pipeline runs twice.
def test_a_store_that_fails_loses_no_score(tmp_path: Path) -> None:
    toy = make_toy(tmp_path / "toy")
    said = toy.dvc("repro", check=False, MLFLOW_TRACKING_URI="http://127.0.0.1:9", MLFLOW_HTTP_REQUEST_MAX_RETRIES="0")
    assert "error: http://127.0.0.1:9" in said and "Traceback" not in said
    again = toy.dvc("repro")
    assert "Stage 'score' didn't change" in again and "Running stage 'track'" in again
