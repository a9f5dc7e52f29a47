"""neurogloss sync: create the missing MLflow runs of all commits and experiments."""

import typer


def sync() -> None:
    """Create the missing MLflow runs of all commits and experiments, from git and DVC's cache.

    For a store that was lost, a new server (MLFLOW_TRACKING_URI), or results of others.
    """
    from neurogloss.comparison.result import Paths
    from neurogloss.comparison.revisions import History
    from neurogloss.config.params import load_params
    from neurogloss.tracking.store import locate_store
    from neurogloss.tracking.syncing import sync as run_sync

    store = locate_store()
    done = run_sync(store, History(store.root), Paths(), load_params(store.root / "params.yaml").track)
    typer.echo(f"{done.results} results, {done.made} runs made, {done.results - done.made} were there: {store.shown}")
    if done.unfinished:
        typer.echo(f"{done.unfinished} commits left out: their dvc.lock is of a pipeline that had not finished")
    if done.without_data:
        typer.echo(f"{done.without_data} runs lack files that are not in the cache; `dvc fetch --all-commits`, then sync again")
