"""Where runs are kept: an SQLite database under .mlflow of the repository, or what MLFLOW_TRACKING_URI names.

`runs_of` reads an SQLite store without importing mlflow, which takes seconds.
"""

import errno
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote, urlparse

from neurogloss.config.environment import repository
from neurogloss.errors import UserError

if TYPE_CHECKING:
    from mlflow import MlflowClient

LOCK_KEY = "dvc.lock_key"
COMPLETE = "track.complete"
"""Set last: a run without it was cut short."""
MISSING = "track.missing"
"""Files of the result that were not at hand; the run is made again when they are."""
PATIENCE_S = 120.0
"""How long one process waits for another one's run."""
BUSY_S = 5.0
"""How long to wait for somebody else's write to the database."""
UNUSABLE = {errno.EEXIST, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT}
"""Faults of a folder that its owner can mend: no folder, not permitted, read-only, full."""


@dataclass(frozen=True)
class Store:
    """A place for runs."""

    uri: str
    database: Path | None
    """The file of an SQLite store."""
    root: Path
    """The repository; locks lie there even if the runs do not."""

    @property
    def shown(self) -> str:
        """Its address as it may stand in a log."""
        return masked(self.uri)

    @property
    def experiment(self) -> str:
        """The experiment that holds the runs."""
        return os.environ.get("MLFLOW_EXPERIMENT_NAME") or "neurogloss"

    @property
    def artifacts(self) -> str | None:
        """Where new experiments keep files; None leaves it to the server. Absolute: MLflow's default is the current folder."""
        return (self.database.parent / "artifacts").as_uri() if self.database else None


class RunState(NamedTuple):
    """What is known of a run without opening it."""

    run_id: str
    key: str
    complete: bool
    missing: bool
    artifacts: str
    """URI of its files."""


def locate_store() -> Store:
    """The store of this repository; relative SQLite files count from its root, also in DVC's temporary workspaces."""
    root = repository().resolve()
    uri = os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///.mlflow/mlflow.db"
    if not uri.startswith("sqlite:"):
        return Store(uri, None, root)
    path = uri.partition(":///")[2]
    if not path:
        raise UserError(f"MLFLOW_TRACKING_URI is {uri!r}, expected sqlite:///FILE, or http://HOST:PORT of a server")
    database = (root / path).resolve()
    return Store(f"sqlite:///{database}", database, root)


def runs_of(store: Store) -> list[RunState] | None:
    """Active runs of the experiment that have a key; None where that cannot be told without mlflow, empty without a database."""
    if store.database is None:
        return None
    if not store.database.exists():
        return []
    query = """
        SELECT runs.run_uuid, keys.value, complete.value, missing.value, runs.artifact_uri
        FROM runs JOIN experiments ON experiments.experiment_id = runs.experiment_id
        JOIN tags AS keys ON keys.run_uuid = runs.run_uuid AND keys.key = ?
        LEFT JOIN tags AS complete ON complete.run_uuid = runs.run_uuid AND complete.key = ?
        LEFT JOIN tags AS missing ON missing.run_uuid = runs.run_uuid AND missing.key = ?
        WHERE experiments.name = ? AND runs.lifecycle_stage = 'active' ORDER BY runs.start_time, runs.run_uuid"""
    try:
        with closing(sqlite3.connect(f"{store.database.as_uri()}?mode=ro", uri=True, timeout=BUSY_S)) as connection:
            rows = connection.execute(query, (LOCK_KEY, COMPLETE, MISSING, store.experiment)).fetchall()
    except sqlite3.Error:
        return None  # Not yet migrated, or of another version: mlflow has the better message.
    return [RunState(run, key, complete == "true", bool(missing), uri) for run, key, complete, missing, uri in rows]


@contextmanager
def opened(store: Store) -> Iterator[tuple["MlflowClient", str]]:
    """A client and the experiment's id, one process at a time; the first one makes the database. Faults of the store raise UserError."""
    from filelock import FileLock, Timeout

    folder = store.database.parent if store.database else store.root / ".mlflow"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "track.lock", timeout=PATIENCE_S):
            with FriendlyErrors(store, opening=True):
                check_writable(store)
                found = connect(store)
            with FriendlyErrors(store):
                yield found
                settle(store)
    except Timeout as error:
        raise UserError(
            f"{folder / 'track.lock'} is held by another process for more than {PATIENCE_S:g} s; wait for it or end it, then run again"
        ) from error
    except OSError as error:
        if error.errno not in UNUSABLE:
            raise
        raise UserError(f"cannot use {error.filename or folder} for runs: {error.strerror}; free it or set MLFLOW_TRACKING_URI") from error


def check_writable(store: Store) -> None:
    """Try to write to the database, so that a fault costs seconds and is told in one line."""
    if store.database is None or not store.database.exists():
        return
    with closing(sqlite3.connect(store.database, timeout=BUSY_S, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")


def settle(store: Store) -> None:
    """Put what has been written into the database file itself, so that the file alone can be copied."""
    if store.database:
        with closing(sqlite3.connect(store.database, timeout=BUSY_S)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def connect(store: Store) -> tuple["MlflowClient", str]:
    """Import mlflow, open the store, find or make the experiment."""
    quiet()
    import mlflow

    # Linking a prompt to a run looks at these and not at the client's.
    mlflow.set_tracking_uri(store.uri)
    mlflow.set_registry_uri(store.uri)
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name(store.experiment)
    if store.database:
        with closing(sqlite3.connect(store.database, timeout=BUSY_S)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")  # Persists in the file; halves the wait of parallel writers.
            follow(connection, store)
    if experiment is None:
        # The kind decides which page the UI opens: that of runs, not that of traces.
        tags = {"mlflow.experimentKind": "custom_model_development"}
        return client, str(client.create_experiment(store.experiment, artifact_location=store.artifacts, tags=tags))
    if experiment.lifecycle_stage != "active":
        raise UserError(
            f"MLflow's experiment {store.experiment!r} is deleted; "
            f"restore it with `mlflow experiments restore -x {experiment.experiment_id}` or set MLFLOW_EXPERIMENT_NAME"
        )
    return client, str(experiment.experiment_id)


def follow(connection: sqlite3.Connection, store: Store) -> None:
    """Let runs find their files where the whole store was moved, or came as an archive: MLflow keeps absolute addresses."""
    here = store.artifacts or ""
    for experiment, there in connection.execute(
        "SELECT experiment_id, artifact_location FROM experiments WHERE name = ?", (store.experiment,)
    ).fetchall():
        ours = there.startswith("file:///") and there.endswith("/artifacts")
        if ours and there != here and folder_of(here).is_dir() and not folder_of(there).exists():
            moved = "UPDATE runs SET artifact_uri = ? || substr(artifact_uri, ?) WHERE experiment_id = ? AND instr(artifact_uri, ?) = 1"
            with connection:
                connection.execute(moved, (here, len(there) + 1, experiment, f"{there}/"))
                connection.execute("UPDATE experiments SET artifact_location = ? WHERE experiment_id = ?", (here, experiment))


def folder_of(uri: str) -> Path:
    """The folder of a file URI."""
    return Path(unquote(urlparse(uri).path))


def quiet() -> None:
    """Settings of mlflow that must stand before its import: no telemetry, no long retries against a server that is gone."""
    for name, value in (
        ("MLFLOW_DISABLE_TELEMETRY", "true"),
        ("DO_NOT_TRACK", "true"),
        ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2"),
        ("MLFLOW_HTTP_REQUEST_TIMEOUT", "30"),
        ("MLFLOW_LOGGING_LEVEL", "WARNING"),
        ("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true"),
        ("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false"),
    ):
        os.environ.setdefault(name, value)


class FriendlyErrors:
    """Turn a fault of the store into a UserError of one line; a wrong call of ours keeps its traceback.

    Not an except clause: what mlflow raises can be named only after its slow import.
    """

    def __init__(self, store: Store, opening: bool = False) -> None:
        self.store = store
        self.opening = opening
        """Nothing but the store's address has been passed yet, so whatever mlflow says is about that."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, Exception) and (foreign(error) or (self.opening and of_the_address(error))):
            raise UserError(f"{self.store.shown}: {masked(one_line(error))}; {cure(str(error))}") from error


def foreign(error: Exception) -> bool:
    """Whether mlflow, its database layer or its connection raised this, and not over a value we passed."""
    if type(error).__module__.split(".")[0] in {"sqlite3", "sqlalchemy", "requests", "urllib3", "alembic"}:
        return True
    code: Any = getattr(error, "error_code", None)
    return type(error).__module__.startswith("mlflow.") and code not in {"INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST"}


def of_the_address(error: Exception) -> bool:
    """Whether mlflow has no use for such an address, or lacks the driver of the database that it names."""
    return type(error).__module__.startswith("mlflow.") or (isinstance(error, ModuleNotFoundError) and error.name not in ("mlflow", None))


def masked(text: str) -> str:
    """Without the name and password of an address.

    >>> masked("cannot reach postgresql://me:secret@host/db")
    'cannot reach postgresql://***@host/db'
    """
    return re.sub(r"://[^/@\s]+@", "://***@", text)


def one_line(error: Exception) -> str:
    """The first sentence or so of a message."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 240 else text[:240] + "…"


def cure(message: str) -> str:
    """What to do about it."""
    if "No module named" in message:
        return "install the driver of that database beside MLflow, or set another MLFLOW_TRACKING_URI"
    if "filesystem tracking backend" in message or "unsupported URI" in message:
        return "set MLFLOW_TRACKING_URI to sqlite:///FILE or to http://HOST:PORT of a server"
    if "locked" in message:
        return "end the program that writes to it and run again"
    if "readonly" in message or "read-only" in message or "unable to open" in message:
        return "make it writable or set MLFLOW_TRACKING_URI"
    if "schema" in message or "revision" in message:
        return "run `mlflow db upgrade` with this URI, or use the version of MLflow that made it"
    if "not a database" in message or "malformed" in message:
        return "move it away and run `neurogloss sync` to make it again"
    return "check MLFLOW_TRACKING_URI and the server; `neurogloss sync` makes missing runs later"
