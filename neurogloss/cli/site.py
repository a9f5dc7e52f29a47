"""neurogloss site: write the viewer as static files."""

from pathlib import Path
from typing import Annotated

import typer


def site(
    out: Annotated[Path, typer.Argument(help="Folder to write; an earlier site in it is replaced.")],
    folder: Annotated[Path, typer.Option("--result", help="The result: a folder that holds data/.")] = Path(),
    against: Annotated[list[str] | None, typer.Option(help="Another result of the same recordings, as NAME=FOLDER or FOLDER.")] = None,
    model: Annotated[bool, typer.Option(help="Load the model: tokens by weight, connected neurons, search by meaning.")] = True,
) -> None:
    """Write the viewer as static files that any web server can host; a small result also opens as a file."""
    from neurogloss.viewer.model import Model
    from neurogloss.viewer.pages import Pages, checked
    from neurogloss.viewer.result import named, open_result
    from neurogloss.viewer.site import write_site

    result = open_result(folder, named(against or []))
    pages = checked(Pages(result, "site", Model(result) if model else None))
    write_site(pages, out)
    reason = pages.unavailable() if model else None
    if reason:
        typer.echo(f"without what the weights say: {reason}", err=True)
    typer.echo(f"open {out / 'index.html'}", err=True)
