"""neurogloss: look at, compare and hand on what the pipeline made. The pipeline itself is run by `dvc repro`."""

import typer

from stages.command import run
from stages.commands.show import show
from stages.commands.table import table

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.command()(show)
app.command()(table)


def main() -> None:
    """Entry point of the console script."""
    run(app)


if __name__ == "__main__":
    main()
