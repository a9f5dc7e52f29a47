"""neurogloss compare: which variant is better, and is that more than noise."""

from pathlib import Path
from typing import Annotated

import typer


def compare(
    variants: Annotated[list[str], typer.Argument(help="Experiments of DVC, git revisions, `workspace`, ids or names of MLflow runs.")],
    score: Annotated[str, typer.Option(help="Which score; a column of scores.parquet.")] = "top_and_random",
    draws: Annotated[int, typer.Option(help="Of the bootstrap.", min=100)] = 2000,
    seed: Annotated[int, typer.Option(help="Of the bootstrap.", min=0)] = 0,
    shown: Annotated[int, typer.Option("--neurons", help="So many of those that gained and lost most.", min=0)] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    figure: Annotated[Path | None, typer.Option(help="Write the figure here as well, PNG.")] = None,
    log: Annotated[bool, typer.Option(help="Put figure and JSON into the MLflow runs of the variants.")] = True,
    width: Annotated[int | None, typer.Option(help="Columns; default: the terminal's.", min=60)] = None,
) -> None:
    """Compare variants with the first one, neuron by neuron, on the same excerpts."""
    import json

    from stages.terminal.comparison import comparison_view
    from stages.terminal.text import console
    from stages.tracking import comparison as comparing
    from stages.tracking.comparing import log_comparison
    from stages.tracking.result import Paths
    from stages.tracking.store import locate_store
    from stages.tracking.variants import load_variant

    store = locate_store()
    found = comparing.compare([load_variant(name, store, Paths()) for name in variants], score, draws, seed, shown)
    value = comparing.as_json(found)
    if as_json:
        typer.echo(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))
    else:
        console(width).print(comparison_view(value))
    if log or figure:
        place = log_comparison(store if log else None, found, value, figure)
        typer.echo(place, err=True)
