"""neurogloss site: write the viewer as static files."""

from pathlib import Path
from typing import Annotated

import typer


def site(
    out: Annotated[Path, typer.Argument(help="Folder to write; an earlier site in it is replaced.")],
    folder: Annotated[Path, typer.Option("--result", help="The result: a folder that holds data/.")] = Path(),
    against: Annotated[list[str] | None, typer.Option(help="Another result of the same recordings, as NAME=FOLDER or FOLDER.")] = None,
) -> None:
    """Write the viewer as static files that any web server can host; a small result also opens as a file."""
    from stages.viewer.pages import Pages, checked
    from stages.viewer.result import named, open_result
    from stages.viewer.site import write_site

    write_site(checked(Pages(open_result(folder, named(against or [])), "site")), out)
    typer.echo(f"open {out / 'index.html'}", err=True)
