"""neurogloss report: the summary and a few dozen units in one file."""

from pathlib import Path
from typing import Annotated

import typer


def report(
    out: Annotated[Path, typer.Argument(help="File to write.")] = Path("report.html"),
    folder: Annotated[Path, typer.Option("--result", help="The result: a folder that holds data/.")] = Path(),
) -> None:
    """Write a self-contained page with the summary and a few dozen units."""
    from neurogloss.viewer.report import write_report

    write_report(out, folder)
    typer.echo(f"open {out}", err=True)
