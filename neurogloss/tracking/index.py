"""A list of a database's runs beside it, so that nothing imports mlflow, which takes seconds, to learn that a run is there.

It counts only as long as the database is the file it was written for, unchanged since; everything else asks MLflow's client.
"""

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurogloss.artifacts.files import write_json
from neurogloss.comparison.result import Paths
from neurogloss.errors import UserError
from neurogloss.tracking.tags import COMPLETE, CURRENT, EXPERIMENT, FORMAT, LOCK_KEY, MISSING, RECORDINGS, REFERENCE, UNITS

if TYPE_CHECKING:
    from mlflow.entities import Run

SCHEMA, VERSION = "neurogloss.runs", 3


@dataclass(frozen=True)
class RunState:
    """What is known of a run without opening it."""

    run_id: str
    name: str
    experiment: str
    """DVC's name for the experiment; empty for none."""
    key: str
    complete: bool
    missing: bool
    """Whether it lacks files, or is of an older format: it is made again where that can be mended."""
    recordings: str
    """Start of the MD5; empty where it is unknown."""
    units: str
    """What they are; empty in runs of before November 2026, which are of neurons."""
    reference: str
    """Start of the key of the result that it carries its difference from; empty for none."""
    artifacts: str
    """URI of its files."""


def run_state(run: "Run") -> RunState:
    """A run as MLflow's client gives it."""
    tags = run.data.tags
    return RunState(
        run.info.run_id,
        run.info.run_name or "",
        tags.get(EXPERIMENT, ""),
        tags.get(LOCK_KEY, ""),
        tags.get(COMPLETE) == "true",
        bool(tags.get(MISSING)) or tags.get(FORMAT) != CURRENT,
        (tags.get(RECORDINGS) or tags.get(f"dvc.md5.{Paths().recordings}", ""))[:8],
        tags.get(UNITS, ""),
        tags.get(REFERENCE, ""),
        str(run.info.artifact_uri),
    )


def index_file(database: Path) -> Path:
    """Where the list of a database is."""
    return database.with_name(f"{database.name}.index.json")


def state_of(database: Path, experiment: str) -> dict[str, Any]:
    """What changes with the database: its place (runs hold absolute addresses), and its size and time of the last write."""
    found = database.stat()
    return {
        "schema": SCHEMA,
        "version": VERSION,
        "experiment": experiment,
        "database": str(database),
        "size": found.st_size,
        "mtime_ns": found.st_mtime_ns,
    }


def write_index(database: Path, experiment: str, runs: "list[Run]") -> None:
    """Write the list; where it cannot be written, the next process asks MLflow."""
    with suppress(UserError, OSError):
        write_json(index_file(database), state_of(database, experiment) | {"runs": [asdict(run_state(run)) for run in runs]})


def read_index(database: Path, experiment: str) -> list[RunState] | None:
    """The runs of the experiment; None where the list is missing, damaged or not of this database as it is now."""
    try:
        value = json.loads(index_file(database).read_text(encoding="utf-8"))
        runs = [RunState(**run) for run in value.pop("runs")]
        return runs if value == state_of(database, experiment) else None
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
