"""Creating runs for results that exist already: after a store was lost, on another server, for results of others."""

import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from neurogloss.comparison.lock import Lock, parse_lock, read_lock
from neurogloss.comparison.result import Origin, Paths, Result, changes_since, workspace_origin
from neurogloss.comparison.revisions import History, Revision
from neurogloss.config.track import DEFAULT, TrackParams
from neurogloss.errors import UserError
from neurogloss.tracking.content import truncated
from neurogloss.tracking.reference import find_references
from neurogloss.tracking.run import update_differences
from neurogloss.tracking.store import Store, keyed_runs, opened
from neurogloss.tracking.tags import COMPLETE, CURRENT, FORMAT, LOCK_KEY, MISSING

if TYPE_CHECKING:
    from mlflow.entities import Run

logger = logging.getLogger(__name__)
EXPERIMENTS = "dvc.experiments"
COMMITS = "git.commits"
"""Tags: the experiments and commits that hold the result, as far as known at the last sync."""


@dataclass(frozen=True)
class Found:
    """A distinct result of the history."""

    lock: Lock
    revisions: tuple[Revision, ...]
    """The oldest first; none for a result that is only in the working tree."""

    @property
    def tags(self) -> dict[str, str]:
        """Where it is found."""
        names = [name for revision in self.revisions for name in revision.experiments]
        tags = {EXPERIMENTS: truncated(", ".join(names)), COMMITS: truncated(", ".join(revision.commit for revision in self.revisions))}
        return {name: value for name, value in tags.items() if value}


@dataclass(frozen=True)
class Synced:
    """What a sync did."""

    results: int
    made: int
    unfinished: int
    """Commits whose dvc.lock is of a pipeline that had not finished."""
    without_data: int
    """Runs created without files that are neither in the cache nor in git."""


def sync(store: Store, history: History, paths: Paths, params: TrackParams = DEFAULT) -> Synced:
    """Create a run for every distinct result of all commits and experiments that has none."""
    found, unfinished = distinct(history, paths)
    runs = existing(store)
    made = without_data = 0
    for result in tqdm(found, desc="sync", unit="result", disable=None):
        run = runs.get(result.lock.key)
        if run and not run.data.tags.get(MISSING) and run.data.tags.get(FORMAT) == CURRENT:
            add_tags(store, run, result)
            continue
        with tempfile.TemporaryDirectory() as name:
            new, missing = make(store, history, result, paths, Path(name), params.traces)
        made += new
        without_data += bool(new and missing)
    references = find_references(store, params.reference)
    with opened(store) as (client, experiment):  # Brings the list of runs up to date, too.
        update_differences(client, experiment, store, references)
    return Synced(len(found), made, unfinished, without_data)


def distinct(history: History, paths: Paths) -> tuple[list[Found], int]:
    """The distinct results of the history and the working tree, and how many commits hold none."""
    revisions, found, unfinished = history.revisions(), dict[str, tuple[Lock, list[Revision]]](), 0
    for revision, text in zip(revisions, history.texts([f"{r.commit}:./dvc.lock" for r in revisions]), strict=True):
        if text is None:
            continue  # The commit that removed it.
        try:
            lock = parse_lock(text.decode("utf-8", "replace"), f"dvc.lock of {revision.commit[:10]}")
        except UserError:
            unfinished += 1  # With conflict markers, say.
            continue
        if paths.scores not in lock.outs or lock.unfinished:
            unfinished += 1
            continue
        found.setdefault(lock.key, (lock, []))[1].append(revision)
    if (history.root / "dvc.lock").exists():
        lock = read_lock(history.root / "dvc.lock")
        if paths.scores in lock.outs and not lock.unfinished:
            found.setdefault(lock.key, (lock, []))
    return [Found(lock, tuple(each)) for lock, each in found.values()], unfinished


def existing(store: Store) -> dict[str, "Run"]:
    """Complete runs by key."""
    with opened(store) as (client, experiment):
        return {run.data.tags[LOCK_KEY]: run for run in keyed_runs(client, experiment) if run.data.tags.get(COMPLETE) == "true"}


def add_tags(store: Store, run: "Run", result: Found) -> None:
    """Update a run's tags with where its result is found by now."""
    tags = {name: value for name, value in result.tags.items() if run.data.tags.get(name) != value}
    if tags:
        with opened(store, index=False) as (client, _):
            for name, value in tags.items():
                client.set_tag(run.info.run_id, name, value)


def make(store: Store, history: History, found: Found, paths: Paths, folder: Path, traces: int) -> tuple[bool, list[str]]:
    """Create one run from the cache and git; whether it is new, and what it lacks."""
    from neurogloss.tracking.writing import ensure_run

    first = found.revisions[0] if found.revisions else None
    history.lay_out(found.lock, first.commit if first else None, folder)
    if first:
        name = next((name for revision in found.revisions for name in revision.experiments), "")
        before = history.text(first.baseline, "dvc.lock") if first.baseline else None
        changes = changes_since(found.lock, (before or b"").decode("utf-8", "replace"))
        origin = Origin(first.commit, (), name, first.baseline, first.time_ms, changes)
    else:
        origin = workspace_origin(history.root, found.lock)
    result = Result(found.lock, folder, paths, origin)
    with opened(store, index=False) as (client, experiment):
        run_id, new = ensure_run(client, experiment, result, alone=store.database is not None, traces=traces)
        for tag, value in found.tags.items() if new else ():
            client.set_tag(run_id, tag, value)
    return new, result.missing
