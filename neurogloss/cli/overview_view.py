"""A whole result on a terminal: some well and some badly explained units, and the summary with baseline, control and interval."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from neurogloss.artifacts.results import Results
from neurogloss.artifacts.scores import CLASSIFIERS
from neurogloss.artifacts.units import Noun, UnitKind, noun
from neurogloss.cli.text import number, visible


def overview(results: Results, metrics: dict[str, Any], rows: int) -> Group:
    """`rows` of the best and `rows` of the worst explained units, then the summary."""
    found = np.array([np.nan if s is None else s for s in results.scores["top_and_random"].to_pylist()], dtype=float)
    scored = np.flatnonzero(~np.isnan(found))
    order = scored[np.argsort(-found[scored], kind="stable")]
    shown = min(rows, (len(order) + 1) // 2)
    best, worst = order[:shown], order[max(shown, len(order) - rows) :]
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), expand=False)
    for heading in (results.recordings.noun.one, "score", "95 %", "random", "baseline"):
        table.add_column(heading, no_wrap=True, justify="right" if table.columns else "left")
    table.add_column("explanation", ratio=1)
    for place, group in enumerate((best, worst)):
        for row in group:
            table.add_row(*cells(results, int(row)), end_section=place == 0 and row == group[-1])
    return Group(table, summary_text(metrics))


def cells(results: Results, row: int) -> tuple[str | Text, ...]:
    """One unit as a row."""
    score = results.score(row)
    interval = "-" if score["ci_low"] is None else f"{number(score['ci_low'])} to {number(score['ci_high'])}"
    text = results.explanations.rows[row].kept.text
    return (
        results.recordings.name(row),
        number(score["top_and_random"]),
        interval,
        *(number(score[name]) for name in ("random_only", "token_table")),
        Text(visible(text) if text is not None else "-"),
    )


def summary_text(metrics: dict[str, Any]) -> Text:
    """What was scored, what was not and why, the mean with its interval, and what stands beside it."""
    causes, zeros = (
        ", ".join(f"{cause.removesuffix('_neuron').replace('_', ' ')} {count}" for cause, count in metrics[key].items() if count)
        for key in ("failed_by_cause", "zero_by_cause")
    )
    units, many = metrics.get("units", {}), noun_of(metrics).many
    lines = [
        *(coder_line(coder) for coder in units.get("sae", [])),
        f"{noun_of(metrics).counted(metrics['neurons'])}, {metrics['scored']:,} scored"
        + (f" (zero: {zeros})" if zeros else "")
        + f", {metrics['failed']:,} not"
        + (f" ({causes})" if causes else "")
        + (f"; {units['dead']:,} never fire in the corpus" if units.get("dead") else ""),
        *(f"{label:<13}{described(found)}   {meaning}" for label, found, meaning in measures(metrics)),
    ]
    shares = ", ".join(f"{share:.1%} at least {at}" for at, share in metrics["share_at_least"].items() if share is not None)
    return Text("\n".join([*lines, *([f"{many:<13}{shares}"] if shares else [])]))


def noun_of(metrics: dict[str, Any]) -> Noun:
    """What the units of a summary are called; older ones were of neurons."""
    units = metrics.get("units", {})
    return noun(UnitKind(units.get("kind", UnitKind.NEURONS)), units.get("signed", False))


def coder_line(coder: dict[str, Any]) -> str:
    """How well an SAE or a transcoder reconstructs: one that was loaded wrongly shows here."""
    return (
        f"{'latents':<13}layer {coder['layer']}, {coder['format']}: {coder['variance_explained']:.1%} of the variance explained, "
        f"{coder['l0']:.1f} of {coder['latents']:,} fire at a token"
    )


def measures(metrics: dict[str, Any]) -> tuple[tuple[str, dict[str, Any], str], ...]:
    """Label, values and meaning of each mean."""
    return (
        ("score", metrics["top_and_random"], "top and random excerpts, held out"),
        ("random only", metrics["random_only"], "random ones only"),
        ("baseline", metrics["baseline"]["token_table"], "mean activation per token, no sentence"),
        ("control", metrics["control"], "other sentences on the same excerpts"),
        ("margin", metrics["margin"], "score less control"),
        ("sensitivity", metrics["sensitivity"], "likeness across sentences; 1: unread"),
        *(row for scorer in CLASSIFIERS if scorer in metrics for row in classified(scorer, metrics[scorer], noun_of(metrics))),
    )


def classified(scorer: str, found: dict[str, Any], called: Noun) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Label, values and meaning of what a scorer that asks a language model found; AUC only where there is one."""
    note = f"{called.counted(found['failed'])} without" if found["failed"] else "0.5 is chance"
    yield scorer, found["balanced_accuracy"], f"balanced accuracy, {note}"
    if found["auc"]["mean"] is not None:
        yield "  AUC", found["auc"], "by the answers' log-probabilities"
    yield "  control", found["control"], "other sentences, same questions"


def described(measure: dict[str, Any]) -> str:
    """A mean with its 95 % interval."""
    if measure["mean"] is None:
        return f"{'-':>6} {'':18}"
    interval = "" if measure["ci_low"] is None else f"({number(measure['ci_low'], 3)} to {number(measure['ci_high'], 3)})"
    return f"{number(measure['mean'], 3):>6} {interval:18}"
