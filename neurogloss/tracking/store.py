"""Where runs are kept: an SQLite database under .mlflow of the repository, or what MLFLOW_TRACKING_URI names."""

import errno
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from neurogloss.config.environment import repository
from neurogloss.errors import UserError
from neurogloss.tracking.index import RunState, read_index, run_state, write_index
from neurogloss.tracking.relocation import follows_database, relocate
from neurogloss.tracking.store_errors import FriendlyErrors, masked
from neurogloss.tracking.tags import LOCK_KEY

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

LOCK_WAIT_S = 120.0
"""How long one process waits while another one writes a run."""
BUSY_S = 5.0
"""How long to wait for somebody else's write to the database."""
UNUSABLE = {errno.EEXIST, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT}
"""Faults of a folder that its owner can fix: no folder, not permitted, read-only, full."""
AWKWARD = re.compile("[%?]")
"""What ends or changes a path in the URL of a database."""


@dataclass(frozen=True)
class Store:
    """A place for runs."""

    uri: str
    database: Path | None
    """The file of an SQLite store."""
    root: Path
    """The repository; lock files are there even if the runs are not."""

    @property
    def shown(self) -> str:
        """Its address without a password, for logs."""
        return masked(self.uri)

    @property
    def address(self) -> str:
        """The address for MLflow; from the current folder where the absolute path cannot be written as a URL. UserError where none can."""
        if self.database is None:
            return self.uri
        for path in (str(self.database), os.path.relpath(self.database)):
            if not AWKWARD.search(path):
                return f"sqlite:///{path}"
        raise UserError(f"MLflow cannot open {self.database}: % and ? mean something else in its address; set MLFLOW_TRACKING_URI")

    @property
    def experiment(self) -> str:
        """The experiment that holds the runs."""
        return os.environ.get("MLFLOW_EXPERIMENT_NAME") or "neurogloss"

    @property
    def artifacts(self) -> str | None:
        """Where new experiments keep files; None leaves it to the server. Absolute: MLflow's default is the current folder."""
        return (self.database.parent / "artifacts").as_uri() if self.database else None


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


def indexed_runs(store: Store) -> list[RunState] | None:
    """Active runs that have a key, the oldest first, without importing mlflow, which takes seconds; None where only mlflow can tell."""
    if store.database is None:
        return None
    return read_index(store.database, store.experiment) if store.database.exists() else []


def runs_of(store: Store) -> list[RunState]:
    """Active runs that have a key, the oldest first; of the experiment that holds the runs."""
    known = indexed_runs(store)
    if known is not None:
        return known
    with opened(store, create=False) as (client, experiment):
        return [run_state(run) for run in keyed_runs(client, experiment)] if experiment else []


def keyed_runs(client: "MlflowClient", experiment: str, key: str | None = None) -> list["Run"]:
    """Active runs that have a key (this one), the oldest first."""
    condition = f"tags.`{LOCK_KEY}` = '{key}'" if key else f"tags.`{LOCK_KEY}` LIKE '%'"
    found, token = [], None
    while True:
        page = client.search_runs([experiment], condition, max_results=1000, order_by=["start_time ASC"], page_token=token)
        found += page
        token = page.token
        if not token:
            return found


@contextmanager
def opened(store: Store, create: bool = True, index: bool = True) -> Iterator[tuple["MlflowClient", str]]:
    """A client and the experiment's id, one process at a time; the first one creates the database. Faults of the store raise UserError.

    Without `create` the id is empty where there is no such experiment. Without `index` the list of runs is not brought up to date:
    whoever writes many runs does that once, at the end.
    """
    with locked(store):
        with FriendlyErrors(store, opening=True):
            check_writable(store)
            client = connect(store)
            experiment = find_experiment(client, store)
            if not experiment and create:
                # The kind decides which page the UI opens: that of runs, not that of traces.
                tags = {"mlflow.experimentKind": "custom_model_development"}
                experiment = str(client.create_experiment(store.experiment, artifact_location=store.artifacts, tags=tags))
        with FriendlyErrors(store):
            yield client, experiment
            if index and store.database and experiment:
                write_index(store.database, store.experiment, keyed_runs(client, experiment))


@contextmanager
def locked(store: Store) -> Iterator[None]:
    """One process at a time; UserError where the folder cannot be used or another process does not end."""
    from filelock import FileLock, Timeout

    folder = store.database.parent if store.database else store.root / ".mlflow"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "track.lock", timeout=LOCK_WAIT_S):
            yield
    except Timeout as error:
        raise UserError(
            f"{folder / 'track.lock'} is held by another process for more than {LOCK_WAIT_S:g} s; wait for it or end it, then run again"
        ) from error
    except OSError as error:
        if error.errno not in UNUSABLE:
            raise
        raise UserError(f"cannot use {error.filename or folder} for runs: {error.strerror}; free it or set MLFLOW_TRACKING_URI") from error


def check_writable(store: Store) -> None:
    """Start and undo a write, in no table: MLflow tries for 108 s to open a file that is no database, and waits 20 s for each lock."""
    if store.database is None or not store.database.exists():
        return
    if not os.access(store.database, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
        raise UserError(f"{store.database} is read-only; make it writable or set MLFLOW_TRACKING_URI")
    with closing(sqlite3.connect(store.database, timeout=BUSY_S, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")


def connect(store: Store) -> "MlflowClient":
    """Import mlflow and open the store."""
    set_mlflow_defaults()
    import mlflow

    given = os.environ.get("MLFLOW_TRACKING_URI")
    # Linking a prompt to a run uses these and not the client's.
    mlflow.set_tracking_uri(store.address)
    mlflow.set_registry_uri(store.address)
    # Setting it changes the environment, too, where a relative address would mean another file.
    if given is None:
        os.environ.pop("MLFLOW_TRACKING_URI", None)
    else:
        os.environ["MLFLOW_TRACKING_URI"] = given
    return mlflow.MlflowClient()


def find_experiment(client: "MlflowClient", store: Store) -> str:
    """The experiment's id, empty where there is none; its files are beside the database afterwards. UserError where it is deleted."""
    experiment = client.get_experiment_by_name(store.experiment)
    if experiment is None:
        return ""
    if experiment.lifecycle_stage != "active":
        raise UserError(
            f"MLflow's experiment {store.experiment!r} is deleted; "
            f"restore it with `mlflow experiments restore -x {experiment.experiment_id}` or set MLFLOW_EXPERIMENT_NAME"
        )
    if store.database and store.artifacts and follows_database(experiment.artifact_location):
        relocate(store.database, experiment.artifact_location, store.artifacts)
    return str(experiment.experiment_id)


def set_mlflow_defaults() -> None:
    """Settings that mlflow reads at its import: no telemetry, no long retries against a server that does not answer."""
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
