"""neurogloss table: the result as a table."""

from pathlib import Path
from typing import Annotated

import typer


def table(
    rows: Annotated[int, typer.Option(help="How many of the best and of the worst explained units.", min=1)] = 8,
    data: Annotated[Path, typer.Option(help="Folder that holds what the stages wrote.")] = Path("data"),
    metrics: Annotated[Path, typer.Option(help="What score wrote for committing.")] = Path("metrics/details.json"),
    lock: Annotated[Path, typer.Option(help="What DVC wrote: how the result was made.")] = Path("dvc.lock"),
    width: Annotated[int | None, typer.Option(help="Columns; default: the terminal's.", min=60)] = None,
) -> None:
    """Print some well and some badly explained units, and the summary with interval, baseline and control."""
    import json

    from neurogloss.artifacts.results import read_results
    from neurogloss.cli.overview_view import noun_of, overview
    from neurogloss.cli.text import console
    from neurogloss.comparison.lock import read_lock
    from neurogloss.errors import UserError

    if not metrics.exists():
        raise UserError(f"{metrics} is missing; run `dvc repro`")
    results = read_results(data)
    summary = json.loads(metrics.read_text(encoding="utf-8"))
    if (summary["neurons"], noun_of(summary)) != (len(results), results.recordings.noun):
        there, here = noun_of(summary).counted(summary["neurons"]), results.recordings.noun.counted(len(results))
        raise UserError(f"{metrics} is about {there}, {data} about {here}; run `dvc repro`")
    console(width).print(overview(results, summary, rows))
    if lock.exists() and (caution := read_lock(lock).caution):
        console(width).print(caution)
