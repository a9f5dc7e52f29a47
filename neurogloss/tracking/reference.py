"""The paired difference of every run from one named result of the same recordings, so that MLflow's bars and `compare` agree.

The reference is a property of the repository (the result that its checked-out commit holds, or `track.reference`), never of the order in
which runs were made: when it moves, the runs of its recordings follow.
"""

import logging
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from neurogloss.artifacts.scores import read_scores
from neurogloss.artifacts.units import UnitKind
from neurogloss.comparison.lock import Lock, parse_lock
from neurogloss.comparison.paired import Paired, paired
from neurogloss.comparison.result import Paths, git
from neurogloss.comparison.revisions import History
from neurogloss.errors import UserError
from neurogloss.scorers.intervals import LEVEL
from neurogloss.scorers.summary import numbers, rounded
from neurogloss.tracking.content import RECORDED
from neurogloss.tracking.index import RunState
from neurogloss.tracking.relocation import local_folder
from neurogloss.tracking.store import Store, set_mlflow_defaults
from neurogloss.tracking.tags import REFERENCE, VERDICT

if TYPE_CHECKING:
    from mlflow import MlflowClient

logger = logging.getLogger(__name__)
SCORE = "top_and_random"
DIGITS = 12
"""Of a key that a tag holds."""


@dataclass(frozen=True)
class Reference:
    """The result that others are compared with."""

    name: str
    commit: str
    lock: Lock

    @property
    def tag(self) -> str:
        """The start of its key."""
        return self.lock.key[:DIGITS]


def find_references(store: Store, name: str) -> list[Reference]:
    """The results that others are compared with, at most one for each recordings; none where nothing fits.

    First the result that this revision holds. Where it is of other recordings than the working tree, and that differs from it in what is
    recorded alone, the working tree's result is the reference of its own. UserError where git and DVC know no such revision.
    """
    commit = git(store.root, "rev-parse", "-q", "--verify", "--end-of-options", f"{name}^{{commit}}")
    if not commit and name != "HEAD":
        commit = History(store.root).resolve(name) or ""
        if not commit:
            known = "`git log` and `dvc exp list` list some"
            raise UserError(f"track.reference is {name!r}, expected a commit, branch, tag or experiment; {known}")
    committed = parsed(git(store.root, "show", f"{commit}:./dvc.lock") if commit else "", name)
    found = [Reference(name, commit, committed)] if committed else []
    here = parsed(lock.read_text(encoding="utf-8"), "workspace") if (lock := store.root / "dvc.lock").exists() else None
    other = committed and here and here.recordings != committed.recordings
    if committed and here and other and all(change.startswith(RECORDED) for change in here.changes(committed)):
        found.append(Reference("workspace", "", here))
    return found


def parsed(text: str, name: str) -> Lock | None:
    """A finished result's lock; None for any other text."""
    try:
        lock = parse_lock(text, f"dvc.lock of {name}")
    except UserError:
        return None
    return lock if lock.recordings and Paths().scores in lock.outs and not lock.unfinished else None


def stale(runs: list[RunState], reference: Reference) -> list[RunState]:
    """The runs that have to follow this reference."""
    return [run for run in runs if run.complete and run.recordings == reference.lock.recordings and run.reference != reference.tag]


def of_another_kind(run: RunState, references: list[Reference]) -> str:
    """Why a run has no difference from any reference, where its units are of another kind than theirs; else empty."""
    units, theirs = run.units or UnitKind.NEURONS, references[0].lock.noun.many
    if not run.complete or any(run.recordings == reference.lock.recordings for reference in references) or units == theirs:
        return ""
    return f"not compared: these are {units}, the reference {references[0].name} is of {theirs}"


def follow(client: "MlflowClient", store: Store, reference: Reference, runs: list[RunState], all_runs: list[RunState]) -> int:
    """Give these runs their difference from the reference; how many got one. Those whose scores are gone keep what they have."""
    own = next((run for run in all_runs if run.key == reference.lock.key and run.complete), None)
    scores = run_scores(own) if own else None
    scores = committed_scores(store, reference) if scores is None else scores
    if scores is None:
        logger.warning("no paired differences: the scores of %s are of another version, or neither in a run nor in DVC's cache; "
                       "run `dvc repro` there, or `dvc fetch`", reference.name)  # fmt: skip
        return 0
    done = 0
    for run in runs:
        other = scores if run.key == reference.lock.key else run_scores(run)
        if other is not None:
            log_difference(client, run, reference, scores, other)
            done += 1
    return done


def run_scores(run: RunState) -> pa.Table | None:
    """The scores that a run holds; None where there are none."""
    folder = local_folder(run.artifacts)
    if folder is None:
        set_mlflow_defaults()
        from mlflow.artifacts import download_artifacts
        from mlflow.exceptions import MlflowException

        try:
            folder = Path(download_artifacts(f"{run.artifacts}/result")).parent
        except (MlflowException, OSError):
            return None
    return readable(folder / "result" / Path(Paths().scores).name)


def committed_scores(store: Store, reference: Reference) -> pa.Table | None:
    """The reference's scores out of DVC's cache."""
    with tempfile.TemporaryDirectory() as name:
        History(store.root).lay_out(reference.lock, reference.commit or None, Path(name), (Paths().scores,))
        return readable(Path(name) / Paths().scores)


def readable(path: Path) -> pa.Table | None:
    """The scores; None where they are missing, or of another version of the table."""
    try:
        return read_scores(path) if path.exists() else None
    except UserError:
        return None


def log_difference(client: "MlflowClient", run: RunState, reference: Reference, scores: pa.Table, other: pa.Table) -> None:
    """Mean difference over the units that both score, with the interval that `compare` prints for the two alone."""
    from mlflow.entities import Metric, RunTag

    ours, theirs = (numbers(table, SCORE) for table in (scores, other))
    if len(ours) != len(theirs):
        return
    found, now = paired(ours, theirs, LEVEL, SCORE), int(time.time() * 1000)
    same = run.key == reference.lock.key
    low, high = (0.0, 0.0) if same else found.interval or (None, None)
    values = {"vs_reference": rounded(found.difference), "vs_reference_low": rounded(low), "vs_reference_high": rounded(high)}
    metrics = [Metric(name, value, now, 0) for name, value in values.items() if value is not None]
    words = "reference" if same else verdict(found)
    client.log_batch(run.run_id, metrics=metrics, tags=[RunTag(REFERENCE, reference.tag), RunTag(VERDICT, words)])


def verdict(found: Paired) -> str:
    """A paired comparison in a few words.

    >>> from neurogloss.scorers.intervals import Interval
    >>> verdict(Paired(240, 0.2, 0.23, 0.03, Interval(0.01, 0.05), 140, 90, 10))
    'better: +0.030 (+0.010 to +0.050)'
    """
    if found.difference is None:
        return "no common unit"
    if found.tied == found.neurons:
        return "all the same"
    if found.interval is None:
        return f"too few differ: {found.difference:+.3f}"
    word = "within noise" if found.within_noise else "better" if found.difference > 0 else "worse"
    return f"{word}: {found.difference:+.3f} ({found.interval.low:+.3f} to {found.interval.high:+.3f})"
