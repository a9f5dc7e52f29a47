"""neurogloss judge: score explanations of units that were recorded anywhere."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from neurogloss.judging.judge import Verdict

SHOWN = 40
"""Explanations in the table; --units-json has all."""


def judge(
    file: Annotated[Path, typer.Argument(help="JSONL: a unit a line with explanation(s) and excerpts of tokens and activations.")],
    simulator: Annotated[
        str | None, typer.Option(help="A name under prompts.simulate or prompts.score; default: simulate.method of the params.")
    ] = None,
    params: Annotated[Path, typer.Option(help="The params file.")] = Path("params.yaml"),
    borrowed: Annotated[int, typer.Option(help="Units that are also read from another unit's sentence, for sensitivity.", min=0)] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line instead of a table.")] = False,
    units_json: Annotated[Path | None, typer.Option(help="Write each explanation's figures here, JSON.")] = None,
    width: Annotated[int | None, typer.Option(help="Columns; default: the terminal's.", min=60)] = None,
) -> None:
    """Score explanations by a simulator, without a pipeline: correlation with activations, agreement with a reader's levels, ranks.

    A scorer (detection, fuzzing) gives balanced accuracy and AUC instead, of excerpts in which a token reaches the level mark_from of its
    prompt and ones in which none reaches quiet_below, where 10 is the unit's own maximum.
    """
    import json

    from neurogloss.artifacts.files import write_json
    from neurogloss.cli.text import console
    from neurogloss.config.params import load_params
    from neurogloss.judging.judge import judge as judged
    from neurogloss.judging.judge import with_simulator
    from neurogloss.judging.scorers import judge_by_scorer
    from neurogloss.judging.units import read_units

    units, present = read_units(file), load_params(params)
    if simulator in present.prompts.score and simulator not in present.prompts.simulate:
        verdict = judge_by_scorer(units, present, simulator)
    else:
        verdict = judged(units, with_simulator(present, simulator), borrowed)
    if units_json is not None:
        write_json(units_json, rows(verdict))
    if as_json:
        typer.echo(json.dumps(figures(verdict)))
        return
    console(width).print(table(verdict))
    console(width).print(line(verdict))


def rows(verdict: "Verdict") -> list[dict[str, Any]]:
    """Each explanation's figures."""
    from dataclasses import asdict

    return [asdict(one) for one in verdict.explanations]


def figures(verdict: "Verdict") -> dict[str, Any]:
    """The figures over all explanations, rounded."""
    values = {
        "agreement": verdict.agreement,
        "rank_agreement": verdict.rank_agreement,
        "sensitivity": verdict.sensitivity,
        "score": verdict.score,
        "auc": verdict.auc,
    }
    return {name: None if value is None else round(value, 6) for name, value in values.items()} | {
        "units": verdict.units,
        "explanations": len(verdict.explanations),
        "failed": dict(sorted(verdict.failed.items())),
        "unscored": sum(one.score is None for one in verdict.explanations),
    }


def table(verdict: "Verdict") -> "Table":
    """The best and the worst explanations, the best first; all where there are few."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Column, Table

    from neurogloss.cli.text import visible

    ordered = sorted(verdict.explanations, key=lambda one: -2.0 if one.score is None else -one.score)
    ordered.sort(key=lambda one: one.score is None)
    if len(ordered) > SHOWN:
        ordered = [*ordered[: SHOWN // 2], *ordered[-SHOWN // 2 :]]
    found = Table(
        Column("unit", no_wrap=True),
        *(Column(name, justify="right", no_wrap=True) for name in ("score", "rank", "agreement", "failed")),
        Column("explanation", overflow="fold"),
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for one in ordered:
        found.add_row(
            visible(one.unit), number(one.score), str(one.rank), number(one.agreement), str(one.failed or ""), visible(one.explanation)
        )
    return found


def line(verdict: "Verdict") -> str:
    """The figures over all explanations, in a line."""
    found = figures(verdict)
    failed = ", ".join(f"{count} {cause}" for cause, count in found["failed"].items())
    auc = "" if verdict.auc is None else f"AUC {number(verdict.auc)}, "
    return (
        f"{found['explanations']} explanations of {found['units']} units: score {number(verdict.score)}, {auc}"
        f"agreement {number(verdict.agreement)}, rank agreement {number(verdict.rank_agreement)}, "
        f"sensitivity {number(verdict.sensitivity)}"
        + (f"; {found['unscored']} without a score" if found["unscored"] else "")
        + (f"; excerpts without an answer: {failed}" if failed else "")
    )


def number(value: float | None) -> str:
    """Three decimals, or a dash."""
    return "-" if value is None else f"{value:.3f}"
