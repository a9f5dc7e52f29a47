"""What `compare` compares: the scores and explanations that an experiment, a commit, the working tree or an MLflow run stands for."""

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from neurogloss.artifacts.files import read_table
from neurogloss.artifacts.scores import read_scores
from neurogloss.artifacts.units import UnitKind, noun
from neurogloss.comparison.comparison import Variant
from neurogloss.comparison.lock import Lock, parse_lock, read_lock
from neurogloss.comparison.result import Paths
from neurogloss.comparison.revisions import History
from neurogloss.errors import UserError
from neurogloss.tracking.index import RunState, run_state
from neurogloss.tracking.relocation import follows_database, local_folder
from neurogloss.tracking.store import Store, locate_store, opened, runs_of, set_mlflow_defaults
from neurogloss.tracking.tags import EXPERIMENT

WORKSPACE = "workspace"


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
            run = next((run for run in runs_of(store) if run.key == lock.key and run.complete), None)
            files = result_files(run, paths) if run else files
        if not all(file.exists() for file in files):
            fetch = f"`git checkout {commit[:10]}` and `dvc fetch`, or `dvc exp pull REMOTE {name}`" if commit else "`dvc repro`"
            raise UserError(f"scores and explanations of {name} are not in DVC's cache; fetch them: {fetch}")
        return of_units(read_variant(name, lock.key, lock.recordings, *files), lock.noun.many)


def lay_out_result(name: str, folder: Path) -> None:
    """Put the whole result that `name` means (as for `load_variant`) into `folder`, as links; UserError where its data are not here."""
    store, paths = locate_store(), Paths()
    history = History(store.root)
    if name == WORKSPACE:
        lock, commit = read_lock(store.root / "dvc.lock"), None
    else:
        commit = history.resolve(name) or commit_of(find_run(name, store), history)
        text = history.text(commit, "dvc.lock")
        if text is None:
            raise UserError(f"{name} ({commit[:10]}) holds no dvc.lock; name a commit or experiment in which the pipeline had run")
        lock = parse_lock(text.decode("utf-8", "replace"), f"dvc.lock of {name}")
    history.lay_out(lock, commit, folder, paths.data)
    if commit is None:
        shutil.copy(store.root / "params.yaml", folder / "params.yaml")
    if absent := [path for path in paths.data if not (folder / path).exists()]:
        fetch = f"`git checkout {commit[:10]}` and `dvc fetch`, or `dvc exp pull REMOTE {name}`" if commit else "`dvc repro`"
        raise UserError(f"{name} lacks {', '.join(absent)} in DVC's cache; fetch it: {fetch}")


def commit_of(run: RunState, history: History) -> str:
    """The newest commit or experiment whose lock is of this run's result; UserError where there is none."""
    for revision in reversed(history.revisions()):
        text = history.text(revision.commit, "dvc.lock")
        if text is not None and parse_lock(text.decode("utf-8", "replace"), revision.commit).key == run.key:
            return revision.commit
    raise UserError(f"MLflow's run {run.name} is of a result that no commit and no experiment here holds; name a folder with its data")


def from_run(name: str, run: RunState, paths: Paths) -> Variant:
    """A run's own copy of the result."""
    files = result_files(run, paths)
    absent = [str(file) for file in files if not file.exists()]
    if absent:
        raise UserError(f"MLflow's run {name} has no {', '.join(absent)}; run `neurogloss sync` where DVC's cache holds the result")
    return of_units(read_variant(name, run.key or run.run_id, run.recordings, *files), run.units)


def of_units(variant: Variant, many: str) -> Variant:
    """The variant with the kind of unit that its lock or its run names; runs of before November 2026 name none and are of neurons."""
    for kind in UnitKind:
        for signed in (False, kind is UnitKind.NEURONS):
            if noun(kind, signed).many == many:
                return replace(variant, kind=kind, signed=signed)
    return variant


def result_files(run: RunState, paths: Paths) -> list[Path]:
    """A run's scores and explanations, there or not; from a server they are downloaded."""
    folder = local_folder(run.artifacts)
    if folder is None:
        set_mlflow_defaults()
        from mlflow.artifacts import download_artifacts

        folder = Path(download_artifacts(f"{run.artifacts}/result")).parent
    return [folder / "result" / Path(path).name for path in (paths.scores, paths.explanations)]


def read_variant(name: str, key: str, recordings: str, scores: Path, explanations: Path) -> Variant:
    """Read the two tables; of the explanations only what is compared."""
    from neurogloss.artifacts.explanations import SCHEMA, VERSION

    texts = read_table(explanations, SCHEMA, VERSION)
    places = zip(texts["layer"].to_pylist(), texts["neuron"].to_pylist(), strict=True)
    return Variant(name, key, recordings, read_scores(scores), dict(zip(places, texts["text"].to_pylist(), strict=True)))


def find_run(name: str, store: Store) -> RunState:
    """The run with this id, name or experiment's name; UserError for none or several."""
    found = [run for run in runs_of(store) if name in (run.run_id, run.name, run.experiment)] or runs_elsewhere(name, store)
    if not found:
        raise UserError(
            f"{name!r} is no experiment of DVC, no revision of git, and no run in {store.shown}; `dvc exp list -A` and `git log` list some"
        )
    if len(found) > 1:
        raise UserError(f"{len(found)} MLflow runs are called {name!r}: {', '.join(run.run_id for run in found)}; name the id")
    return found[0]


def runs_elsewhere(name: str, store: Store) -> list[RunState]:
    """Runs of this id or name in any experiment."""
    if store.database and not store.database.exists():
        return []
    with opened(store, create=False) as (client, _):
        experiments = [experiment.experiment_id for experiment in client.search_experiments()]
        quoted = name.replace("'", "")
        is_id = len(name) == 32 and name.isalnum()
        columns = ("attributes.run_id",) if is_id else ("attributes.run_name", f"tags.`{EXPERIMENT}`")
        found = [run for column in columns for run in client.search_runs(experiments, f"{column} = '{quoted}'", max_results=10)]
    return list({run.info.run_id: run_state(run) for run in found}.values())


def log_files(store: Store, keys: set[str], files: dict[str, Path]) -> int:
    """Put files (name in the run -> file) into the runs of these results; how many runs there were.

    No run is created: a comparison is no result. Files beside the database are copied without mlflow, which takes seconds to import. Runs
    that a copied database shares with its original get nothing.
    """
    runs = [run for run in runs_of(store) if run.key in keys and run.complete and not left_behind(run, store)]
    beside = [run for run in runs if store.artifacts and run.artifacts.startswith(f"{store.artifacts}/")]
    for folder in filter(None, (local_folder(run.artifacts) for run in beside)):
        for name, file in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, folder / name)
    others = [run for run in runs if run not in beside]
    if others:
        with opened(store) as (client, _):
            for run in others:
                for name, file in files.items():
                    client.log_artifact(run.run_id, str(file), str(Path(name).parent))
    return len(runs)


def left_behind(run: RunState, store: Store) -> bool:
    """Whether the run's files are beside another database: this one was copied without them."""
    location = run.artifacts.removesuffix(f"/{run.run_id}/artifacts")
    return store.artifacts not in (None, location) and follows_database(location)
