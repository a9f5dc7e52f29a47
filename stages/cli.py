"""neurogloss: look at, compare and hand on what the pipeline made. The pipeline itself is run by `dvc repro`."""

import typer

from stages.command import run
from stages.commands.cache import cache
from stages.commands.compare import compare
from stages.commands.export import export
from stages.commands.import_ import import_
from stages.commands.plan import plan
from stages.commands.plots import plots
from stages.commands.report import report
from stages.commands.show import show
from stages.commands.site import site
from stages.commands.sync import sync
from stages.commands.table import table
from stages.commands.view import view

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.command()(export)
app.command("import")(import_)
app.command()(plots)
app.command()(compare)
app.command()(sync)
app.command()(show)
app.command()(table)
app.command()(view)
app.command()(plan)
app.add_typer(cache, name="cache")
app.command()(site)
app.command()(report)


def main() -> None:
    """Entry point of the console script."""
    run(app)


if __name__ == "__main__":
    main()
