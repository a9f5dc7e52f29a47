"""neurogloss site: write the viewer as static files."""

from pathlib import Path
from typing import Annotated

import typer


def site(
    out: Annotated[Path, typer.Argument(help="Folder to write; an earlier site in it is replaced.")],
    folder: Annotated[Path, typer.Option("--result", help="The result: a folder that holds data/.")] = Path(),
    against: Annotated[
        list[str] | None,
        typer.Option(help="Another result of the same recordings: what `compare` takes, or a folder; NAME=... gives it a name."),
    ] = None,
    model: Annotated[bool, typer.Option(help="Load the model: tokens by weight, connected units, search by meaning.")] = True,
    questions: Annotated[bool, typer.Option(help="What language models were asked and answered, as far as replies are kept here.")] = True,
) -> None:
    """Write the viewer as static files that any web server can host; a small result also opens as a file."""
    from neurogloss.cli.against import laid_out, params_of
    from neurogloss.llm.cache import cache_file
    from neurogloss.viewer.asked import Asked
    from neurogloss.viewer.model import Model
    from neurogloss.viewer.pages import Pages, checked
    from neurogloss.viewer.result import open_result
    from neurogloss.viewer.site import write_site

    with laid_out(against or []) as others:
        result = open_result(folder, others)
        asked = Asked(result, [params_of(place) for place in (folder, *others.values())], cache_file()) if questions else None
        pages = checked(Pages(result, "site", Model(result) if model else None, asked))
        write_site(pages, out)
    reason = pages.unavailable() if model else None
    if reason:
        typer.echo(f"without what the weights say: {reason}", err=True)
    typer.echo(f"open {out / 'index.html'}", err=True)
