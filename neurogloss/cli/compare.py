"""neurogloss compare: which variant is better, and is that more than noise."""

from pathlib import Path
from typing import Annotated

import typer


def compare(
    variants: Annotated[list[str], typer.Argument(help="Experiments of DVC, git revisions, `workspace`, ids or names of MLflow runs.")],
    score: Annotated[str, typer.Option(help="Which score; a column of scores.parquet.")] = "top_and_random",
    shown: Annotated[int, typer.Option("--neurons", help="How many of those that gained and lost most to list.", min=0)] = 5,
    brief: Annotated[bool, typer.Option("--brief", help="Print only the verdict: a line for each variant, the best first.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown for a pull request: verdict, figure, tables.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    figure: Annotated[Path | None, typer.Option(help="Write the figure here as well, PNG.")] = None,
    log: Annotated[bool, typer.Option(help="Put figure and JSON into the MLflow runs of the variants.")] = True,
    width: Annotated[int | None, typer.Option(help="Columns; default: the terminal's.", min=60)] = None,
) -> None:
    """Compare variants with the first one, unit by unit, on the same excerpts."""
    import json

    from neurogloss.cli.comparison_markdown import comparison_markdown
    from neurogloss.cli.comparison_view import brief_view, comparison_view
    from neurogloss.cli.text import console
    from neurogloss.comparison.comparison import as_json as json_of
    from neurogloss.tracking.comparisons import compare as compare_results
    from neurogloss.tracking.comparisons import log_comparison
    from neurogloss.tracking.store import locate_store

    found = compare_results(variants, score, shown)
    value = json_of(found)
    if as_json:
        typer.echo(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))
    elif markdown:
        typer.echo(comparison_markdown(value), nl=False)
    else:
        console(width).print(brief_view(value) if brief else comparison_view(value))
    if log or figure:
        place = log_comparison(locate_store() if log else None, found, value, figure)
        typer.echo(place, err=True)
