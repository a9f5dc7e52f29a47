"""neurogloss check: does dvc.lock fit what is here."""

from typing import Annotated

import typer


def check(
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a warning for a pull request, and never fail.")] = False,
) -> None:
    """Say which stages have to run before dvc.lock fits params, code and metrics, and why; exit code 1 where there are any.

    Needs no data. Prompts that no stage reads and the mirror in MLflow do not count.
    """
    from neurogloss.cli.changes_view import warning_part
    from neurogloss.comparison.staleness import stale_stages
    from neurogloss.config.environment import repository

    stale = stale_stages(repository().resolve())
    if markdown:
        typer.echo(warning_part(stale), nl=False)
        return
    if not stale:
        typer.echo("dvc.lock is current")
        return
    for stage, reasons in stale.items():
        typer.echo(f"{stage} has to run: {'; '.join(reasons)}", err=True)
    typer.echo("error: dvc.lock is not current; run `dvc repro` and commit dvc.lock and metrics/", err=True)
    raise typer.Exit(1)
