"""neurogloss: look at, compare and hand on what the pipeline made. The pipeline itself is run by `dvc repro`."""

from collections.abc import Callable
from importlib.metadata import version
from typing import Annotated

import typer

from neurogloss.cli.cache import cache
from neurogloss.cli.changes import changes
from neurogloss.cli.check import check
from neurogloss.cli.compare import compare
from neurogloss.cli.directions import directions
from neurogloss.cli.export import export
from neurogloss.cli.import_ import import_
from neurogloss.cli.judge import judge
from neurogloss.cli.plan import plan
from neurogloss.cli.plots import plots
from neurogloss.cli.questions import questions
from neurogloss.cli.report import report
from neurogloss.cli.revisions import revisions
from neurogloss.cli.show import show
from neurogloss.cli.site import site
from neurogloss.cli.stage import run
from neurogloss.cli.sync import sync
from neurogloss.cli.table import table
from neurogloss.cli.ui import ui
from neurogloss.cli.view import view

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


def show_version(asked: bool) -> None:
    """Print the version and end."""
    if asked:
        typer.echo(f"neurogloss {version('neurogloss')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show the version and exit.")] = False,
) -> None:
    """Options of no command."""


PANELS: dict[str, tuple[Callable[..., None], ...]] = {
    "Look at a result": (view, show, table, plots, site, report, ui),
    "Compare results": (compare, changes, check, sync),
    "Ask language models": (plan, questions),
    "Better explanations": (revisions, directions, judge),
    "Exchange": (export, import_),
}
"""The commands as `--help` groups them."""

for panel, commands in PANELS.items():
    for command in commands:
        app.command(command.__name__.rstrip("_"), rich_help_panel=panel)(command)
app.add_typer(cache, name="cache", rich_help_panel="Ask language models")


def main() -> None:
    """Entry point of the console script."""
    run(app)


if __name__ == "__main__":
    main()
