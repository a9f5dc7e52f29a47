"""The content of a run: params, tags, metrics and the table of neurons, as plain values, independent of MLflow."""

import hashlib
import json
import math
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from neurogloss.artifacts.explanations import read_explanations
from neurogloss.artifacts.recordings import read_recordings
from neurogloss.artifacts.scores import read_scores
from neurogloss.artifacts.units import UnitKind, unit_name
from neurogloss.comparison.lock import Lock, flat
from neurogloss.comparison.result import Result
from neurogloss.scorers.summary import headline
from neurogloss.tracking.tags import CURRENT, EXPERIMENT, FORMAT, LOCK_KEY, MISSING, RECORDINGS, UNITS

VALUE_LIMIT = 5000
"""Characters; MLflow silently truncates a param's value at 6,000 and a tag's at 8,000."""
NAME_LIMIT = 200
"""Characters of a run's name."""
SHOWN_CHANGES = 3
"""Changed params that are named in a run's name."""
TABLE_ROWS = 300
"""MLflow's comparison view shows no more."""
PLOTS = {"histogram": "histogram.csv", "quantile": "quantiles.csv", "layer": "by_layer.csv"}
"""Prefix of the step metric -> plot file; its first column is the step."""
SUMMARY = {
    "score_median": "top_and_random.median",
    "top_only": "top_only.mean",
    "less_control": "margin.mean",
    "less_control_low": "margin.ci_low",
    "less_control_high": "margin.ci_high",
    "sensitivity": "sensitivity.mean",
    "ablation": "ablation.score.mean",
    "ablation_random_only": "ablation.random_only.mean",
    "ablation_control": "ablation.control.mean",
    "variance_explained": "variance_explained.mean",
    "senses_units": "senses.units",
    "senses_less_single": "senses.difference.mean",
    "share_at_least_0.5": "share_at_least.0.5",
    "same_document_share": "excerpts.same_document_share",
    "neurons": "neurons",
    "failed": "failed",
    "constant_simulation": "zero_by_cause.constant_simulation",
    "no_explanation": "zero_by_cause.no_explanation",
}
"""Name under `summary/` -> place in metrics/details.json. The headline has no prefix; the rest is in the file, which is in the run."""
SHOWN_PARAMS = 36
"""At most so many params a run, those that were changed first; with the versions of prompts 40. All are in result/params.yaml."""
UNSHOWN = re.compile(r"(models\.|prompts\.|watch\.)|.*\.sha256$")
"""Params left out unless they were changed: what is said by a model's name, and digests."""
RECORDED = ("corpus.", "record.", "subject.", "watch.")
"""Sections of what is recorded: equal in all runs that can be compared."""
SHORT = ("explain.", "vocabulary.")
"""Sections that a run's name leaves out: what is tried most."""
LEFT_OUT = ("neurons", "scored", "ci_low", "ci_high")
"""Ends of the names of columns without a curve: counts would flatten the others, and the chart view draws no band."""


class Step(NamedTuple):
    """One point of a curve."""

    name: str
    value: float
    step: int


def run_params(lock: Lock) -> dict[str, str]:
    """Every param of every stage under its dotted name, prompt texts left out: they go to the registry.

    Two stages that ran with different values of one param keep both, the second under `STAGE/NAME`.
    """
    found: dict[str, str] = {}
    for stage, entry in lock.stages.items():
        for name, value in flat({k: v for k, v in entry.params.items() if not k.startswith("prompts.")}).items():
            key, text = clean_key(name), truncated(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str))
            if found.get(key, text) != text:
                key = clean_key(f"{stage}/{name}")
            found[key] = text
    for stage in ("explain", "simulate"):
        model = found.get(f"{stage}.model")
        if model and f"models.{model}.name" in found:
            found[f"{stage}.model_name"] = found[f"models.{model}.name"]
    used = lock.simulator
    if used and used != found["simulate.method"]:  # auto asks the explainer's model.
        found["simulate.method"] += f" ({used})"
        found["simulate.model_name"] = found.get("explain.model_name", "")
    return found


def shown_params(result: Result) -> dict[str, str]:
    """The params that a run shows: what was changed, then the others, what is recorded last."""
    found = run_params(result.lock)
    changed = {clean_key(change.partition("=")[0]) for change in result.origin.changes}
    shown = [name for name in found if name in changed or not UNSHOWN.match(name)]
    shown.sort(key=lambda name: (name not in changed, name.startswith(RECORDED)))
    return {name: found[name] for name in shown[:SHOWN_PARAMS]}


def run_tags(result: Result) -> dict[str, str]:
    """Where the result comes from. The MD5 of each output is in result/dvc.lock."""
    origin = result.origin
    tags = {
        LOCK_KEY: result.lock.key,
        FORMAT: CURRENT,
        RECORDINGS: result.lock.recordings,
        "changes": truncated(", ".join(origin.changes)),
        "dvc.code": result.lock.code,
        UNITS: result.lock.noun.many,
        EXPERIMENT: origin.experiment,
        "dvc.baseline_rev": origin.baseline,
        "git.commit": origin.commit,
        "mlflow.source.git.commit": origin.commit,
        "git.dirty": "true" if origin.changed else "false",
        "git.changed": truncated(", ".join(origin.changed)),
        "mlflow.source.name": "dvc.yaml",
        "mlflow.source.type": "PROJECT",
        MISSING: truncated(", ".join(result.missing)),
        "metrics.undefined": truncated(", ".join(name for name, value in flat(result.details()).items() if value is None)),
        "mlflow.note.content": description(result),
    }
    return {key: value for key, value in tags.items() if value}


def run_name(result: Result) -> str:
    """What was changed, then the experiment's name; without changes the methods and the start of the key."""
    origin = result.origin
    shown = [shortened(change) for change in origin.changes[:SHOWN_CHANGES]]
    more = len(origin.changes) - SHOWN_CHANGES
    name = ", ".join([*shown, *([f"{more} more"] if more > 0 else [])])
    if not name:
        params = run_params(result.lock)
        name = f"{params.get('explain.method', 'explain')}, {params.get('simulate.method', 'simulate')} {result.lock.key[:7]}"
    text = f"{name} ({origin.experiment})" if origin.experiment else name
    return text if len(text) <= NAME_LIMIT else text[: NAME_LIMIT - 1] + "…"


def shortened(change: str) -> str:
    """A changed param as a run's name has it.

    >>> shortened("explain.method=token_list"), shortened("simulate.method=reader"), shortened("prompts.explain.pairs")
    ('method=token_list', 'simulate.method=reader', 'prompts.explain.pairs')
    """
    return next((change.removeprefix(section) for section in SHORT if change.startswith(section)), change)


def description(result: Result) -> str:
    """The first thing on the run's page: the score with its interval, the baseline and the control."""
    details = result.details()
    metrics = headline(details)

    def number(name: str) -> str:
        value = metrics.get(name)
        return "undefined" if value is None else f"{value:.3f}"

    interval = "" if "undefined" in (number("score_low"), number("score_high")) else f" ({number('score_low')} to {number('score_high')})"
    caution = f"\n\nCaution: {result.lock.caution}." if result.lock.caution else ""
    return (
        f"**Score {number('score')}**{interval} on top and random excerpts, {number('random_only')} on random ones only, "
        f"baseline (token table) {number('baseline')}, control (other units' sentences) {number('control')}; "
        f"{metrics.get('scored', 0)} of {result.lock.noun.counted(details.get('neurons', 0))} scored.{caution}"
    )


def scalars(result: Result) -> dict[str, float]:
    """The numbers that are defined: the headline as in metrics/score.json, others as `summary/`; of several coders the mean."""
    details = result.details()
    places = flat(details)
    found = headline(details) | {f"summary/{name}": places.get(place) for name, place in SUMMARY.items()}
    for name in ("variance_explained", "l0") if (coders := details.get("units", {}).get("sae")) else ():
        found[f"summary/sae_{name}"] = sum(coder[name] for coder in coders) / len(coders)
    return {name: number for name, value in found.items() if (number := finite(value)) is not None}


def steps(result: Result) -> Iterator[Step]:
    """The plot files as curves that the chart view overlays: step = bin, percentile or layer."""
    for prefix, file in PLOTS.items():
        for index, row in enumerate(result.metrics_csv(file)):
            columns = list(row)
            first = finite(row[columns[0]])
            step = int(first) if first is not None and prefix != "histogram" else index
            for column in columns[1:]:
                value = finite(row[column])
                if value is not None and not column.endswith(LEFT_OUT):
                    yield Step(clean_key(f"{prefix}/{column}"), value, step)
    yield from revision_steps(result)
    yield from direction_steps(result)


def revision_steps(result: Result) -> Iterator[Step]:
    """What each round of revision did, its number as the step; nothing where there was none."""
    path = result.path(result.paths.metrics) / "refine.json"
    rounds = json.loads(path.read_text(encoding="utf-8"))["rounds"] if path.exists() else []
    for one in rounds:
        for name, value in flat(one).items():
            if name != "round" and (number := finite(value)) is not None:
                yield Step(clean_key(f"revision/{name}"), number, int(one["round"]))


def direction_steps(result: Result) -> Iterator[Step]:
    """How directions were found: the mean correlation that each round began with, its number as the step, and the scores before and after.

    Nothing where the units are not directions that `neurogloss directions` found.
    """
    report = directions_report(result) or {"rounds": [], "directions": []}
    for one in report["rounds"]:
        if fitted := [value for value in one["fitted"] if value is not None]:
            yield Step("directions/fitted", sum(fitted) / len(fitted), int(one["round"]))
    for step, when in enumerate(("before", "after")):
        for name in ("score", "random_only"):
            if known := [one[when][name] for one in report["directions"] if one[when][name] is not None]:
                yield Step(f"directions/{name}", sum(known) / len(known), step * len(report["rounds"]))


def directions_report(result: Result) -> dict[str, Any] | None:
    """What the recordings say of the search that found their directions."""
    path = result.path(result.paths.recordings)
    if result.lock.kind is not UnitKind.DIRECTIONS or not path.exists():
        return None
    report: dict[str, Any] | None = read_recordings(path).about.get("directions")
    return report


def neuron_table(result: Result) -> dict[str, list[Any]] | None:
    """neuron, explanation, score, random_only, layer: the order in which the comparison view shows runs side by side.

    At most TABLE_ROWS, evenly spaced over layers and neurons, not by score: so every run on the same recordings
    shows the same neurons. None where the files are missing.
    """
    files = result.path(result.paths.scores), result.path(result.paths.explanations)
    if not all(file.exists() for file in files):
        return None
    scores, texts = read_scores(files[0]), read_explanations(files[1])
    explained = {(int(layer), int(index)): text for layer, index, text in zip(texts.layers, texts.indices, texts.texts, strict=True)}
    rows = evenly(scores.num_rows, TABLE_ROWS)
    columns = {
        name: scores[name].take(rows).to_pylist() for name in ("layer", "neuron", "top_and_random", "random_only", "status", "control")
    }
    places = list(zip(columns["layer"], columns["neuron"], strict=True))
    return {
        "neuron": [unit_name(layer, index, result.lock.kind) for layer, index in places],
        "explanation": [explained.get(place) for place in places],
        "score": columns["top_and_random"],
        "random_only": columns["random_only"],
        "layer": columns["layer"],
        "control": columns["control"],
        "status": columns["status"],
    }


def evenly(count: int, limit: int) -> list[int]:
    """At most `limit` of `count` positions, ascending and evenly spaced.

    >>> evenly(3, 5), evenly(10, 4)
    ([0, 1, 2], [0, 2, 5, 7])
    """
    return list(range(count)) if count <= limit else [position * count // limit for position in range(limit)]


def finite(value: Any) -> float | None:
    """A finite number, else None; text is read as a number."""
    if value is None or isinstance(value, bool | list | dict):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def truncated(text: str) -> str:
    """A long text truncated to its start and its sha256, so that two texts never look equal."""
    if len(text) <= VALUE_LIMIT:
        return text
    return f"{text[: VALUE_LIMIT - 200]}… ({len(text)} characters, sha256 {hashlib.sha256(text.encode()).hexdigest()})"


def clean_key(name: str) -> str:
    """A name MLflow accepts, at most 250 characters.

    >>> clean_key("models.gpt@home (big).name")
    'models.gpt_home _big_.name'
    """
    return re.sub(r"[^\w\-./: ]", "_", name, flags=re.ASCII)[:250]
