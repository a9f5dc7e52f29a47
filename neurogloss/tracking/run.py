"""track: mirror the result into MLflow, exactly one run per distinct result."""

import logging
from pathlib import Path

from neurogloss.comparison.lock import Lock
from neurogloss.comparison.result import Paths, Result, workspace_origin
from neurogloss.tracking.store import Store, indexed_runs, opened

logger = logging.getLogger(__name__)


def track(lock: Lock, paths: Paths, store: Store) -> str:
    """The id of the result's run; MLflow is imported only where the run has to be created."""
    known = indexed_runs(store)
    for run in known or ():
        if run.key == lock.key and run.complete and not run.missing and all(other.complete for other in known or ()):
            logger.info("already tracked: run %s", run.run_id)
            return run.run_id
    from neurogloss.tracking.writing import ensure_run

    result = Result(lock, Path.cwd(), paths, workspace_origin(store.root, lock, Path.cwd()))
    with opened(store) as (client, experiment):
        run_id, made = ensure_run(client, experiment, result, alone=store.database is not None)
    logger.info("%s: run %s of experiment %s in %s", "tracked" if made else "already tracked", run_id, store.experiment, store.shown)
    return run_id
