"""A result of the pipeline: its lock, its files in a folder, and its origin."""

import csv
import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neurogloss.comparison.lock import RECORDINGS, Lock, parse_lock
from neurogloss.errors import UserError


@dataclass(frozen=True)
class Paths:
    """Where the files of a result are, relative to its folder; the defaults are those of dvc.yaml."""

    recordings: str = RECORDINGS
    explanations: str = "data/explanations.parquet"
    simulations: str = "data/simulations"
    scores: str = "data/scores.parquet"
    metrics: str = "metrics"

    @property
    def data(self) -> tuple[str, ...]:
        """All but the metrics."""
        return self.recordings, self.explanations, self.simulations, self.scores


@dataclass(frozen=True)
class Origin:
    """Where a result comes from. It names a result but does not identify it: two origins of one result are one run."""

    commit: str = ""
    """The commit that holds it, or the one it is based on; empty without git."""
    changed: tuple[str, ...] = ()
    """Files that differ from that commit, outputs left out."""
    experiment: str = ""
    """DVC's name for the experiment."""
    baseline: str = ""
    """The commit the experiment started from."""
    time_ms: int | None = None
    """When it was committed; None means now."""
    changes: tuple[str, ...] = ()
    """Params that differ from those of the commit it is based on."""


@dataclass(frozen=True)
class Result:
    """What a run is made from."""

    lock: Lock
    folder: Path
    paths: Paths
    origin: Origin

    def path(self, name: str) -> Path:
        """A file or folder of the result, there or not."""
        return self.folder / name

    @property
    def missing(self) -> list[str]:
        """Outputs that are not available."""
        return sorted(path for path in self.lock.outs if not self.path(path).exists())

    def details(self) -> dict[str, Any]:
        """The whole summary: metrics/details.json, in results of before November 2026 metrics/score.json; empty where it is missing."""
        paths = [self.path(self.paths.metrics) / name for name in ("details.json", "score.json")]
        path = next((path for path in paths if path.exists()), None)
        return dict(json.loads(path.read_text(encoding="utf-8"))) if path else {}

    def metrics_csv(self, name: str) -> list[dict[str, str]]:
        """Rows of a plot file; empty where it is missing."""
        path = self.path(self.paths.metrics) / name
        if not path.exists():
            return []
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))


def workspace_origin(root: Path, lock: Lock, folder: Path | None = None) -> Origin:
    """The commit under the files in `folder` (default: `root`), and what differs from it."""
    commit = os.environ.get("DVC_EXP_BASELINE_REV") or git(root, "rev-parse", "--verify", "-q", "HEAD")
    return Origin(
        commit=commit,
        changed=tuple(name for name in git_changes(folder or root) if not is_output(name, lock)),
        experiment=os.environ.get("DVC_EXP_NAME", ""),
        baseline=os.environ.get("DVC_EXP_BASELINE_REV", ""),
        changes=changes_since(lock, git(root, "show", f"{commit}:./dvc.lock")),
    )


def changes_since(lock: Lock, text: str) -> tuple[str, ...]:
    """Params that differ from the lock file with this text; none where it is not a lock file."""
    try:
        return lock.changes(parse_lock(text, "dvc.lock"))
    except UserError:
        return ()


def is_output(name: str, lock: Lock) -> bool:
    """Whether a stage writes this file; dvc.lock counts as one."""
    return name == "dvc.lock" or any(name == out or name.startswith(out + "/") for out in lock.outs)


def git_changes(folder: Path) -> list[str]:
    """Tracked files that differ from the commit, and files git does not know."""
    entries = git(folder, "status", "--porcelain", "-z", "--untracked-files=all", "--no-renames").split("\0")
    return sorted(entry[3:] for entry in entries if entry)


def git(folder: Path, *arguments: str) -> str:
    """What git prints; empty where it fails or is not installed."""
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.decode("utf-8", "replace").rstrip("\n") if done.returncode == 0 else ""
