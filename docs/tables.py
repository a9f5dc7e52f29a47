"""Documents that are code. It rewrites

README.md             what explainers reach and some units, from metrics/ and benchmarks/labels/
docs/trust.md         the whole result from metrics/, the table of simulators from benchmarks/results/readers.json
docs/machine.md       the variables, from neurogloss/config/environment.py
docs/architecture.md  the table of stages, from dvc.yaml
benchmarks/README.md  the figures, from benchmarks/results/
"""

import ast
import csv
import gzip
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

ROOT = Path(__file__).parents[1]
EXAMPLES = 5
"""Neurons in README.md."""


def main() -> None:
    """Write all."""
    for path, text in documents(ROOT).items():
        path.write_text(text, encoding="utf-8")


def documents(root: Path) -> dict[Path, str]:
    """Each document as it should read."""
    pipeline = yaml.safe_load((root / "dvc.yaml").read_text(encoding="utf-8"))
    score = json.loads((root / "metrics" / "details.json").read_text(encoding="utf-8"))
    with (root / "metrics" / "examples.csv").open(encoding="utf-8", newline="") as file:
        examples = list(csv.DictReader(file))
    benchmarks = root / "benchmarks"
    measured = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted((benchmarks / "results").glob("*.json"))}
    machine = ast.get_docstring(ast.parse((root / "neurogloss" / "config" / "environment.py").read_text(encoding="utf-8"))) or ""
    labels = {kind: read_labels(benchmarks / "labels" / f"{kind}.jsonl.gz") for kind in ("sentences", "phrases")}
    tables = {
        "README.md": {"headline": headline_table(score, labels), "examples": example_rows(examples[:EXAMPLES])},
        "docs/trust.md": {"result": result_table(score, examples), "readers": readers_table(measured["readers"])},
        "docs/machine.md": {"machine": machine_table(machine)},
        "docs/architecture.md": {"stages": stage_table(pipeline["stages"])},
        "benchmarks/README.md": {"measured": measured_tables(benchmarks, measured)},
    }
    found = {}
    for name, parts in tables.items():
        text = (root / name).read_text(encoding="utf-8")
        for part, table in parts.items():
            text = between(text, part, table)
        found[root / name] = text
    return found


class Labelled(NamedTuple):
    """What sentences of one kind reach as a careful reader simulates them."""

    units: int
    mean: float
    error: float
    """Of the mean, over units."""


def read_labels(path: Path) -> Labelled:
    """The mean over units of the correlation of the reader's levels with the activations, 0 where the levels are constant."""
    scores = []
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            excerpts = json.loads(line)["excerpts"]
            levels, activations = (np.concatenate([np.asarray(one[key], float) for one in excerpts]) for key in ("levels", "activations"))
            scores.append(float(np.corrcoef(levels, activations)[0, 1]) if np.ptp(levels) else 0.0)
    return Labelled(len(scores), float(np.mean(scores)), float(np.std(scores, ddof=1) / np.sqrt(len(scores))))


def headline_table(score: dict[str, Any], labels: dict[str, Labelled]) -> str:
    """What a strong explainer reaches, what the default, what the table of tokens that explains nothing."""
    rows = ["| explanation | how it becomes a prediction | neurons | mean correlation | 95 % interval |", "|---|---|---|---|---|"]
    read = "a strong model reads it, and nothing else"
    for kind, what in (("sentences", "a strong model's sentence"), ("phrases", "the default's phrases from a bank")):
        found = labels[kind]
        low, high = found.mean - 1.96 * found.error, found.mean + 1.96 * found.error
        rows.append(f"| {what} | {read} | {found.units} | **{found.mean:.2f}** | {low:.2f} to {high:.2f} |")
    default, table = score["top_and_random"], score["baseline"]["token_table"]
    for what, how, one in (
        ("the default's phrases", "looked up, no key", default),
        ("none", "each token's mean activation, looked up", table),
    ):
        interval = "" if one["ci_low"] is None else f"{one['ci_low']:.2f} to {one['ci_high']:.2f}"
        mean = "undefined" if one["mean"] is None else f"**{one['mean']:.2f}**"
        rows.append(f"| {what} | {how} | {score['neurons']} | {mean} | {interval} |")
    return "\n".join(rows)


def readers_table(readers: dict[str, Any]) -> str:
    """One row for each simulator or scorer and each kind of labels."""
    rows = ["| | units | agreement | rank agreement | sensitivity | failed | tokens | seconds |", "|---|---|---|---|---|---|---|---|"]
    for name, found in readers.items():
        if isinstance(found, dict):
            simulator, kind = name.split(" on ")
            figures = ["-" if found[key] is None else f"{found[key]:.2f}" for key in ("agreement", "rank_agreement", "sensitivity")]
            costs = [f"{found['failed_share']:.0%}", f"{found['tokens']:,}", f"{found['seconds']:.1f}"]
            rows.append(f"| `{simulator}`, {kind} | {' | '.join([str(found['units']), *figures, *costs])} |")
    return "\n".join(rows)


def between(text: str, name: str, inside: str) -> str:
    """The text with what stands between the two comments called `name` replaced."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    before, rest = text.split(begin)
    return f"{before}{begin}\n{inside}\n{end}{rest.split(end)[1]}"


def stage_table(stages: dict[str, Any]) -> str:
    """One row per stage: what it does, what it reads, what it writes, what makes it run again."""
    rows = ["| stage | what it does | reads | writes | runs again when these params change |", "|---|---|---|---|---|"]
    for name, spec in stages.items():
        reads = [path for path in map(path_of, spec.get("deps", [])) if not path.startswith(("stages/", "neurogloss/"))]
        writes = [path_of(entry) for entry in [*spec.get("outs", []), *spec.get("metrics", [])]]
        params = [path_of(entry) for entry in spec.get("params", [])]
        cells = [", ".join(f"`{cell}`" for cell in found) or "nothing" for found in (reads, writes, params)]
        rows.append(f"| `{name}` | {spec['desc']} | {' | '.join(cells)} |")
    return "\n".join(rows)


def machine_table(docstring: str) -> str:
    """One row per variable of the environment that neurogloss/config/environment.py names; what DVC sets is left out."""
    rows = [line.split(maxsplit=1) for line in docstring.splitlines() if re.match(r"[A-Z_]{5,}[ =]", line)]
    return "\n".join(["| variable | what it sets |", "|---|---|", *(f"| `{name}` | {what} |" for name, what in rows if name != "DVC_ROOT")])


def measured_tables(folder: Path, measured: dict[str, dict[str, Any]]) -> str:
    """For each benchmark its first line and what it measured last; lists of more than a few numbers stay in the file."""
    parts = []
    for name, found in measured.items():
        about = ast.get_docstring(ast.parse((folder / f"{name}.py").read_text(encoding="utf-8"))) or name
        flat = {f"{key}.{part}".strip("."): inner for key, value in found.items() for part, inner in inside(value).items()}
        short = {key: value for key, value in flat.items() if len(json.dumps(value)) <= 60}
        rows = [f"| `{key}` | {figure(value)} |" for key, value in short.items()]
        parts.append("\n".join([f"### {name}", "", about.splitlines()[0], "", "| figure | value |", "|---|---|", *rows]))
    return "\n\n".join(parts)


def inside(value: Any) -> dict[str, Any]:
    """The parts of a group of figures; a single one is a part without a name."""
    return value if isinstance(value, dict) else {"": value}


def figure(value: Any) -> str:
    """A measured value for a reader: four digits of a number.

    >>> figure(0.98764), figure(46080), figure([1, 2.5]), figure(True)
    ('0.9876', '46,080', '1, 2.5', 'true')
    """
    if isinstance(value, list):
        return ", ".join(map(figure, value))
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(json.dumps(value)).strip('"')
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"


def path_of(entry: Any) -> str:
    """An entry of dvc.yaml without its options."""
    return next(iter(entry)) if isinstance(entry, dict) else str(entry)


def example_rows(examples: list[dict[str, str]]) -> str:
    """Some neurons of the committed result."""
    rows = ["| neuron | score | random only | baseline | control | explanation |", "|---|---|---|---|---|---|"]
    for example in examples:
        text = example["explanation"].replace("|", "\\|") or "none"
        values = " | ".join(
            f"{round(float(example[name]), 2) + 0.0:.2f}" if example[name] else "-"
            for name in ("score", "random_only", "baseline", "control")
        )
        rows.append(f"| `{example['neuron']}` | {values} | {text} |")
    return "\n".join(rows)


def result_table(score: dict[str, Any], examples: list[dict[str, str]]) -> str:
    """The result of the committed run: some neurons, then each mean with its interval."""
    rows = [example_rows(examples)]
    rows += ["", "| mean correlation on held-out text | | 95 % interval |", "|---|---|---|"]
    rows.append(mean_row("explanations, top and random excerpts", score["top_and_random"]))
    rows.append(mean_row("explanations, random excerpts only", score["random_only"]))
    rows.append(mean_row("baseline: mean activation per token, no explanation", score["baseline"]["token_table"]))
    rows.append(mean_row("control: other neurons' explanations on the same excerpts", score["control"]))
    rows.append(mean_row("explanations less control", score["margin"]))
    shares = ", ".join(f"{share:.1%} at or above {bound}" for bound, share in score["share_at_least"].items())
    zeros = sum(score["zero_by_cause"].values())
    rows += ["", f"{score['scored']} of {score['neurons']} neurons scored, {zeros} of them 0, {score['failed']} failed; {shares}."]
    likeness = score["sensitivity"]["mean"]
    if likeness is not None:
        rows.append(
            f"What is simulated for different explanations on the same text correlates at {likeness:.2f}; 1 would mean that none is read."
        )
    shared = score["excerpts"]["same_document_share"]
    rows.append(
        f"Held out is text, not topics: {shared:.0%} of the score excerpts are from an article that gave the neuron other excerpts, too."
        if shared
        else "Whole articles are held out: no score excerpt is from an article that gave the neuron any other excerpt."
    )
    return "\n".join(rows)


def mean_row(what: str, found: dict[str, Any]) -> str:
    """A mean with its interval."""
    if found["mean"] is None:
        return f"| {what} | undefined | |"
    interval = "" if found["ci_low"] is None else f"{plain(found['ci_low'])} to {plain(found['ci_high'])}"
    return f"| {what} | **{plain(found['mean'])}** | {interval} |"


def plain(value: float) -> str:
    """Three decimals, and no minus sign before a zero.

    >>> plain(-0.0002), plain(0.2313)
    ('0.000', '0.231')
    """
    return f"{round(value, 3) + 0.0:.3f}"


if __name__ == "__main__":
    main()
