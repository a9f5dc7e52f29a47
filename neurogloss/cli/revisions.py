"""neurogloss revisions: does revising explanations help, and does it help more than its controls."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from neurogloss.comparison.methods import MethodResult


def revisions(
    params: Annotated[Path, typer.Option(help="The params file.")] = Path("params.yaml"),
    recordings: Annotated[Path, typer.Option(help="What record wrote.")] = Path("data/recordings"),
    candidates: Annotated[Path, typer.Option(help="What explain wrote.")] = Path("data/candidates.parquet"),
    method: Annotated[list[str] | None, typer.Option(help="Only these: counterexamples, again, random_sentences, corpus.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line instead of a table.")] = False,
    width: Annotated[int | None, typer.Option(help="Columns; default: the terminal's.", min=60)] = None,
) -> None:
    """Revise explanations with counterexamples and with each control, `refine.rounds` rounds (at least one), and compare, unit by unit.

    What was asked before is answered from the cache. Nothing in data/ changes.
    """
    import json
    from typing import get_args

    from neurogloss.artifacts.candidates import read_candidates
    from neurogloss.artifacts.recordings import read_recordings
    from neurogloss.cli.text import console
    from neurogloss.comparison.methods import compare_methods
    from neurogloss.config.params import load_params
    from neurogloss.config.prompts import ExplainPrompt
    from neurogloss.config.refine import RefineMethod
    from neurogloss.errors import UserError

    known, settings = get_args(RefineMethod), load_params(params)
    if strange := [name for name in method or () if name not in known]:
        raise UserError(f"--method: there is no {strange[0]!r}; there are: {', '.join(known)}")
    asks = isinstance(settings.prompts.explain[settings.explain.method], ExplainPrompt)
    chosen = [name for name in known if name in (method or known) and (method or asks or name != "again")]
    found = compare_methods(read_recordings(recordings), read_candidates(candidates), settings, chosen)
    if as_json:
        typer.echo(json.dumps([figures(one) for one in found]))
        return
    console(width).print(table(found))


def figures(result: "MethodResult") -> dict[str, Any]:
    """One method's figures."""
    return {"method": result.method, "changed": result.changed} | {
        kind: {**found._asdict(), "interval": found.interval and list(found.interval)}
        for kind, found in (("score", result.score), ("generated", result.generated))
    }


def table(found: "list[MethodResult]") -> "Table":
    """A row for each method."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Column, Table

    from neurogloss.cli.text import number

    made = Table(
        Column("revised by", no_wrap=True),
        *(Column(name, justify="right") for name in ("units", "changed", "before", "after", "difference", "95 %", "generated")),
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for one in found:
        score, interval, held_out = one.score, one.score.interval, one.generated
        made.add_row(
            one.method,
            str(score.neurons),
            str(one.changed),
            number(score.reference, 3),
            number(score.variant, 3),
            "-" if score.difference is None else f"{score.difference:+.3f}",
            "-" if interval is None else f"{interval.low:+.3f} to {interval.high:+.3f}",
            "-" if held_out.reference is None else f"{number(held_out.reference, 2)} to {number(held_out.variant, 2)}",
        )
    return made
