"""What `compare` compares: the scores and explanations that an experiment, a commit, the working tree or an MLflow run stands for."""

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlparse

from neurogloss.artifacts.files import read_table
from neurogloss.artifacts.scores import read_scores
from neurogloss.comparison.comparison import Variant
from neurogloss.comparison.lock import Lock, parse_lock, read_lock
from neurogloss.comparison.result import Paths
from neurogloss.comparison.revisions import History
from neurogloss.errors import UserError
from neurogloss.tracking.store import LOCK_KEY, FriendlyErrors, Store, quiet, runs_of

WORKSPACE = "workspace"


class RunInfo(NamedTuple):
    """A run as the store knows it."""

    run_id: str
    tags: dict[str, str]
    artifacts: str
    """URI."""


def load_variant(name: str, store: Store, paths: Paths) -> Variant:
    """Find what `name` means, in this order: the working tree, an experiment, a commit, an MLflow run's id or name."""
    if name == WORKSPACE:
        return from_lock(name, read_lock(store.root / "dvc.lock"), None, store, paths)
    history = History(store.root) if (store.root / "dvc.yaml").exists() and (store.root / ".dvc").exists() else None
    commit = history.resolve(name) if history else None
    if history and commit:
        text = history.text(commit, "dvc.lock")
        if text is None:
            raise UserError(f"{name} ({commit[:10]}) holds no dvc.lock; name a commit or experiment in which the pipeline had run")
        return from_lock(name, parse_lock(text.decode("utf-8", "replace"), f"dvc.lock of {name}"), commit, store, paths)
    return from_run(name, find_run(name, store), paths)


def from_lock(name: str, lock: Lock, commit: str | None, store: Store, paths: Paths) -> Variant:
    """A result of the history: its files out of DVC's cache, else out of its run."""
    wanted = (paths.scores, paths.explanations)
    if paths.scores not in lock.outs or lock.unfinished:
        raise UserError(f"{name} holds no finished result ({lock.unfinished or 'no scores'}); run `dvc repro` there and commit dvc.lock")
    with tempfile.TemporaryDirectory() as folder:
        History(store.root).lay_out(lock, commit, Path(folder), wanted)
        files = [Path(folder) / path for path in wanted]
        if not all(file.exists() for file in files):
            kept = [run.artifacts for run in runs_of(store) or [] if run.key == lock.key and run.complete]
            local = local_folder(kept[0]) if kept else None
            files = [(local or Path(folder)) / "result" / Path(path).name for path in wanted]
        if not all(file.exists() for file in files):
            fetch = f"`git checkout {commit[:10]}` and `dvc fetch`, or `dvc exp pull REMOTE {name}`" if commit else "`dvc repro`"
            raise UserError(f"scores and explanations of {name} are not in DVC's cache; fetch them: {fetch}")
        return read_variant(name, lock.key, lock.outs.get(paths.recordings, ""), *files)


def from_run(name: str, run: RunInfo, paths: Paths) -> Variant:
    """A run's own copy of the result."""
    folder = local_folder(run.artifacts)
    if folder is None:
        quiet()
        from mlflow.artifacts import download_artifacts

        folder = Path(download_artifacts(f"{run.artifacts}/result")).parent
    files = [folder / "result" / Path(path).name for path in (paths.scores, paths.explanations)]
    absent = [str(file) for file in files if not file.exists()]
    if absent:
        raise UserError(f"MLflow's run {name} has no {', '.join(absent)}; run `neurogloss sync` where DVC's cache holds the result")
    return read_variant(name, run.tags.get(LOCK_KEY, run.run_id), run.tags.get(f"dvc.md5.{paths.recordings}", ""), *files)


def read_variant(name: str, key: str, recordings: str, scores: Path, explanations: Path) -> Variant:
    """Read the two tables; of the explanations only what is compared."""
    from neurogloss.artifacts.explanations import SCHEMA, VERSION

    texts = read_table(explanations, SCHEMA, VERSION)
    places = zip(texts["layer"].to_pylist(), texts["neuron"].to_pylist(), strict=True)
    return Variant(name, key, recordings, read_scores(scores), dict(zip(places, texts["text"].to_pylist(), strict=True)))


def local_folder(uri: str) -> Path | None:
    """The folder of a file URI; None for any other."""
    parsed = urlparse(uri)
    return Path(unquote(parsed.path)) if parsed.scheme in ("file", "") else None


def find_run(name: str, store: Store) -> RunInfo:
    """The run with this id, name or experiment's name; UserError for none or several."""
    found = sqlite_runs(name, store.database) if store.database else server_runs(name, store)
    if not found:
        raise UserError(
            f"{name!r} is no experiment of DVC, no revision of git, and no run in {store.shown}; `dvc exp list -A` and `git log` list some"
        )
    if len(found) > 1:
        raise UserError(f"{len(found)} MLflow runs are called {name!r}: {', '.join(run.run_id for run in found)}; name the id")
    return found[0]


def sqlite_runs(name: str, database: Path) -> list[RunInfo]:
    """Look in the database itself: importing mlflow takes seconds."""
    if not database.exists():
        return []
    query = """
        SELECT run_uuid, artifact_uri FROM runs WHERE lifecycle_stage = 'active' AND (run_uuid = ? OR name = ? OR run_uuid IN
            (SELECT run_uuid FROM tags WHERE key = 'dvc.exp_name' AND value = ?)) ORDER BY run_uuid"""
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
            rows = connection.execute(query, (name, name, name)).fetchall()
            return [
                RunInfo(run, dict(connection.execute("SELECT key, value FROM tags WHERE run_uuid = ?", (run,)).fetchall()), uri)
                for run, uri in rows
            ]
    except sqlite3.Error as error:
        raise UserError(f"cannot look for runs in {database}: {error}; move it away and run `neurogloss sync`") from error


def server_runs(name: str, store: Store) -> list[RunInfo]:
    """Ask the server."""
    quiet()
    with FriendlyErrors(store, opening=True):
        import mlflow

        mlflow.set_tracking_uri(store.uri)
        client = mlflow.MlflowClient()
        experiments = [experiment.experiment_id for experiment in client.search_experiments()]
        quoted = name.replace("'", "")
        is_id = len(name) == 32 and name.isalnum()
        columns = ("attributes.run_id",) if is_id else ("attributes.run_name", "tags.`dvc.exp_name`")
        found = [run for column in columns for run in client.search_runs(experiments, f"{column} = '{quoted}'", max_results=10)]
        infos = {run.info.run_id: RunInfo(run.info.run_id, dict(run.data.tags), str(run.info.artifact_uri)) for run in found}
        return list(infos.values())


def log_files(store: Store, keys: set[str], files: dict[str, Path]) -> int:
    """Put files (name in the run -> file) into the runs of these results; how many runs there were.

    No run is made: a comparison is no result. Local files are copied without mlflow.
    """
    import shutil

    if store.database:
        runs = [run for run in runs_of(store) or [] if run.key in keys and run.complete]
        folders = [folder for run in runs if (folder := local_folder(run.artifacts))]
        for folder in folders:
            for name, file in files.items():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, folder / name)
        return len(folders)
    return log_to_server(store, keys, files)


def log_to_server(store: Store, keys: set[str], files: dict[str, Path]) -> int:
    """The same through the server."""
    from neurogloss.tracking.store import opened
    from neurogloss.tracking.writing import runs

    with opened(store) as (client, experiment):
        found = [run.info.run_id for key in sorted(keys) for run in runs(client, experiment, key)]
        for run_id in found:
            for name, file in files.items():
                client.log_artifact(run_id, str(file), str(Path(name).parent))
    return len(found)
