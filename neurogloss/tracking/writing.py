"""Writing one run, so that it exists once and complete, or not at all."""

import hashlib
import json
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurogloss.artifacts.scores import read_scores
from neurogloss.comparison.result import Result
from neurogloss.errors import UserError
from neurogloss.llm.usage import read_usage
from neurogloss.tracking.ablation_figure import write_ablation_figure
from neurogloss.tracking.content import directions_report, neuron_table, run_name, run_tags, scalars, shown_params, steps
from neurogloss.tracking.registry import Prompt, Registry, prompts
from neurogloss.tracking.store import keyed_runs
from neurogloss.tracking.tags import COMPLETE, CURRENT, FORMAT, LOCK_KEY, MISSING
from neurogloss.tracking.trace_store import delete_run
from neurogloss.tracking.traces import log_traces

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import PromptVersion

USAGE = (
    ("explain", "explain", "explain"),
    ("refine", "refine", "simulate"),
    ("simulate", "simulate", "simulate"),
    ("score", "score", "score"),
)
"""Report of what was paid, the stage that wrote it, and the section that names its model. `refine` picks the best of several."""
BATCH = {"metrics": 1000, "params": 100, "tags": 100}
"""Most that the tracking server accepts in one call."""


def ensure_run(client: "MlflowClient", experiment: str, result: Result, alone: bool, traces: int = 0) -> tuple[str, bool]:
    """The id of the result's run, and whether it was created now.

    Interrupted runs of this result are deleted, and with `alone` (nobody else writes to the store) all interrupted runs.
    A run that lacked files is replaced once they are available.
    """
    kept = None
    for run in keyed_runs(client, experiment, None if alone else result.lock.key):
        tags = run.data.tags
        whole = tags.get(COMPLETE) == "true"
        mine = tags[LOCK_KEY] == result.lock.key
        lacks = len(tags[MISSING].split(", ")) if tags.get(MISSING) else 0
        better = mine and (len(result.missing) < lacks or (tags.get(FORMAT) != CURRENT and len(result.missing) == lacks))
        if not whole or better or (mine and kept):
            delete_run(client, experiment, run.info.run_id)
        elif mine:
            kept = run.info.run_id
    return (kept, False) if kept else (write_run(client, experiment, result, traces), True)


def write_run(client: "MlflowClient", experiment: str, result: Result, traces: int) -> str:
    """Write the run of a result; the tag that marks it complete comes last."""
    start = result.origin.time_ms or int(time.time() * 1000)
    run = client.create_run(experiment, start_time=start, tags=run_tags(result), run_name=run_name(result))
    run_id = str(run.info.run_id)
    registry = Registry(client, experiment)
    versions = [(prompt, registry.register(prompt, newest=result.origin.time_ms is None)) for prompt in prompts(result.lock)]
    log_values(client, run_id, result, versions, start)
    linked = [version for _, version in versions if version is not None]
    for version in linked:
        client.link_prompt_version_to_run(run_id, version)
    log_recordings(client, run_id, result)
    if result.origin.time_ms is None:  # Created just now, so the reports may be about it.
        log_usage(client, experiment, run_id, result)
    log_files(client, run_id, result)
    log_traces(client, experiment, run_id, result, linked, traces, start)
    client.set_terminated(run_id, "FINISHED", end_time=result.origin.time_ms)
    client.set_tag(run_id, COMPLETE, "true")
    return run_id


def log_values(
    client: "MlflowClient", run_id: str, result: Result, versions: list[tuple[Prompt, "PromptVersion | None"]], start: int
) -> None:
    """Params, metrics and curves in as few calls as the server's limits allow."""
    from mlflow.entities import Metric, Param

    params = shown_params(result)
    for prompt, version in versions:
        number = f"{version.version} ({prompt.variant})" if version is not None else f"not registered ({prompt.variant})"
        known = params.get(f"{prompt.stage}.prompt_version")
        params[f"{prompt.stage}.prompt_version"] = f"{known}, {number}" if known else number
    batches: dict[str, list[Any]] = {
        "metrics": [Metric(name, value, start, 0) for name, value in scalars(result).items()]
        + [Metric(step.name, step.value, start, step.step) for step in steps(result)],
        "params": [Param(name, value) for name, value in sorted(params.items())],
        "tags": [],
    }
    while any(batches.values()):
        client.log_batch(run_id, **{kind: batches[kind][:most] for kind, most in BATCH.items()})
        batches = {kind: batches[kind][most:] for kind, most in BATCH.items()}


def log_recordings(client: "MlflowClient", run_id: str, result: Result) -> None:
    """Log the recordings as the run's dataset; DVC's MD5 is the digest, so no file is read."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    md5 = result.lock.outs.get(result.paths.recordings)
    if md5:
        dataset = Dataset(
            name="recordings",
            digest=md5.removesuffix(".dir"),
            source_type="dvc",
            source=f'{{"path": "{result.paths.recordings}", "md5": "{md5}"}}',
        )
        client.log_inputs(run_id, datasets=[DatasetInput(dataset, [InputTag("mlflow.data.context", "scoring")])])


def log_usage(client: "MlflowClient", experiment: str, run_id: str, result: Result) -> None:
    """Requests, tokens and cost of all language models that were asked; each stage's report whole as a file.

    A report goes to one run only: where DVC has restored a stage, the report on disk is that of an earlier result.
    """
    from mlflow.entities import Metric, RunTag

    totals = dict.fromkeys(("requests", "cached", "tokens", "cost_usd"), 0.0)
    tags = []
    for step, stage, section in USAGE:
        report = read_usage(step)
        if not report or report["model"] != result.lock.stages[stage].params.get(section, {}).get("model"):
            continue
        tag, digest = f"usage.{step}.sha256", hashlib.sha256(json.dumps(report, sort_keys=True).encode()).hexdigest()
        if client.search_runs([experiment], f"tags.`{tag}` = '{digest}'", max_results=1):
            continue
        tags.append(RunTag(tag, digest))
        found = report | {"tokens": report["paid"]["prompt"] + report["paid"]["completion"]}
        totals = {name: value + found[name] for name, value in totals.items()}
        client.log_dict(run_id, report, f"usage/{step}.json")
    if tags:
        now = int(time.time() * 1000)
        client.log_batch(run_id, metrics=[Metric(f"usage/{name}", value, now, 0) for name, value in totals.items()], tags=tags)


def log_files(client: "MlflowClient", run_id: str, result: Result) -> None:
    """The table, the report, the prompts, and the small files of the result itself, so that `compare` can read a run."""
    with suppress(UserError):  # Tables of another version, in results of before, are in the run's files only.
        if table := neuron_table(result):
            client.log_table(run_id, table, "scores.json")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_viewer(result, folder / "report.html")
        if (scores := result.path(result.paths.scores)).exists():
            with suppress(UserError):  # The same.
                write_ablation_figure(read_scores(scores), folder / "figures" / "ablation.png")
        if report := directions_report(result):  # Explanations before and after, and in every round.
            put(folder / "directions.json", json.dumps(report, indent=2).encode())
        for prompt in prompts(result.lock):
            put(folder / "prompts" / f"{prompt.name}.txt", prompt.text.encode())
        for path in (result.paths.scores, result.paths.explanations, "params.yaml", "dvc.lock"):
            if (source := result.path(path)).exists():
                put(folder / "result" / source.name, source.read_bytes())
        metrics = result.path(result.paths.metrics)
        for source in sorted(metrics.glob("*.*")) if metrics.is_dir() else []:
            put(folder / "metrics" / source.name, source.read_bytes())
        client.log_artifacts(run_id, name)


def write_viewer(result: Result, path: Path) -> None:
    """The page that shows the result's neurons; MLflow opens it beside the run. None where files are missing or nothing is to be seen."""
    from neurogloss.viewer.report import write_report
    from neurogloss.viewer.result import Files

    if any(not result.path(name).exists() for name in result.paths.data):
        return
    recordings, explanations, simulations, scores = (result.path(name) for name in result.paths.data)
    files = Files(recordings, explanations, simulations, scores)
    with suppress(UserError):
        write_report(path, files)


def put(path: Path, content: bytes) -> None:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
