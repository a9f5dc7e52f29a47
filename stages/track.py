"""track: mirror the result into MLflow, exactly one run per distinct result.

reads   dvc.lock, recordings, explanations.parquet, simulations, scores.parquet, metrics
writes  receipt.json (the result's key), and a run unless there is one
"""

import atexit
import gc
import logging
from pathlib import Path
from typing import Annotated

import typer

from stages.artifacts.files import write_json
from stages.command import Out, command
from stages.errors import UserError
from stages.tracking.lock import Lock, read_lock
from stages.tracking.result import Paths, Result, workspace_origin
from stages.tracking.store import Store, locate_store, opened, runs_of

logger = logging.getLogger(__name__)


def main(
    recordings: Annotated[Path, typer.Option(help="What record wrote.")],
    explanations: Annotated[Path, typer.Option(help="What explain wrote.")],
    simulations: Annotated[Path, typer.Option(help="What simulate wrote.")],
    scores: Annotated[Path, typer.Option(help="What score wrote.")],
    metrics: Annotated[Path, typer.Option(help="Where score wrote its metrics.")],
    out: Out,
    lock: Annotated[Path, typer.Option(help="What DVC wrote; it names the result.")] = Path("dvc.lock"),
) -> None:
    """Make the result's run in MLflow, unless it is there."""
    paths = Paths(str(recordings), str(explanations), str(simulations), str(scores), str(metrics))
    state = read_lock(lock)
    if state.unfinished:
        raise UserError(f"{lock} holds parts of two results ({state.unfinished}); run `dvc repro`")
    track(state, paths, locate_store())
    write_json(out, {"key": state.key})


def track(lock: Lock, paths: Paths, store: Store) -> str:
    """The id of the result's run; MLflow is imported only where the run has to be made."""
    known = runs_of(store)
    for run in known or ():
        if run.key == lock.key and run.complete and not run.missing and all(other.complete for other in known or ()):
            logger.info("already tracked: run %s", run.run_id)
            return run.run_id
    from stages.tracking.writing import ensure_run

    result = Result(lock, Path.cwd(), paths, workspace_origin(store.root, lock, Path.cwd()))
    with opened(store) as (client, experiment):
        run_id, made = ensure_run(client, experiment, result, alone=store.database is not None)
    logger.info("%s: run %s of experiment %s in %s", "tracked" if made else "already tracked", run_id, store.experiment, store.shown)
    return run_id


if __name__ == "__main__":
    # A short process that imports thousands of modules: collecting garbage, also at its end, took two of six seconds and freed nothing.
    gc.disable()
    atexit.register(gc.freeze)
    command(main)
