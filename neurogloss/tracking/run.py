"""track: mirror the result into MLflow, exactly one run per distinct result."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from neurogloss.comparison.lock import Lock
from neurogloss.comparison.result import Paths, Result, workspace_origin
from neurogloss.config.track import DEFAULT, TrackParams
from neurogloss.tracking.index import run_state
from neurogloss.tracking.reference import Reference, find_references, follow, of_another_kind, stale
from neurogloss.tracking.store import Store, indexed_runs, keyed_runs, opened
from neurogloss.tracking.tags import VERDICT

if TYPE_CHECKING:
    from mlflow import MlflowClient

logger = logging.getLogger(__name__)


def track(lock: Lock, paths: Paths, store: Store, params: TrackParams = DEFAULT) -> str:
    """The id of the result's run; MLflow is imported only where the run has to be created, or the reference has moved."""
    known, references = indexed_runs(store), find_references(store, params.reference)
    behind = [(run, reference) for reference in references for run in stale(known or [], reference)]
    # The reference's own difference, which is 0, can wait for the next run.
    current = all(run.complete for run in known or ()) and all(run.key == reference.lock.key for run, reference in behind)
    for run in known or ():
        if run.key == lock.key and run.complete and not run.missing and current:
            logger.info("already tracked: run %s", run.run_id)
            return run.run_id
    from neurogloss.tracking.writing import ensure_run

    result = Result(lock, Path.cwd(), paths, workspace_origin(store.root, lock, Path.cwd()))
    with opened(store) as (client, experiment):
        run_id, made = ensure_run(client, experiment, result, alone=store.database is not None, traces=params.traces)
        update_differences(client, experiment, store, references, None if store.database else run_id)
        if made and references:
            mark_default(client, experiment, references[0])
    logger.info("%s: run %s of experiment %s in %s", "tracked" if made else "already tracked", run_id, store.experiment, store.shown)
    return run_id


def update_differences(client: "MlflowClient", experiment: str, store: Store, references: list[Reference], only: str | None = None) -> int:
    """Let the runs (or `only` one, on a server that others share) follow the references; how many did."""
    found = keyed_runs(client, experiment) if references else []
    runs = [run_state(run) for run in found]
    done = 0
    for reference in references:
        if behind := [run for run in stale(runs, reference) if only in (None, run.run_id)]:
            done += follow(client, store, reference, behind, runs)
    told = {run.info.run_id for run in found if VERDICT in run.data.tags}
    for run in runs if references else ():
        if only in (None, run.run_id) and run.run_id not in told and (words := of_another_kind(run, references)):
            client.set_tag(run.run_id, VERDICT, words)
            logger.info("run %s: %s", run.name, words)
    return done


def mark_default(client: "MlflowClient", experiment: str, reference: Reference) -> None:
    """Name the versions of the prompts that the reference was made with."""
    from neurogloss.tracking.registry import Registry

    Registry(client, experiment).mark_default(reference.lock)
