"""neurogloss view: look at the current result in the browser."""

from pathlib import Path
from typing import Annotated

import typer


def view(
    folder: Annotated[Path, typer.Argument(help="The result: a folder that holds data/.")] = Path(),
    against: Annotated[
        list[str] | None,
        typer.Option(help="Another result of the same recordings: what `compare` takes, or a folder; NAME=... gives it a name."),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; the default is this machine only.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any free port.")] = 8765,
    allow_host: Annotated[list[str] | None, typer.Option(help="Also answer to this host name.")] = None,
    browser: Annotated[bool, typer.Option("--open/--no-open", help="Open the browser.")] = True,
) -> None:
    """Show the result in the browser, until interrupted."""
    from neurogloss.cli.against import laid_out, params_of
    from neurogloss.llm.cache import cache_file
    from neurogloss.viewer.asked import Asked
    from neurogloss.viewer.model import Model
    from neurogloss.viewer.pages import Pages, checked
    from neurogloss.viewer.result import open_result
    from neurogloss.viewer.server import application, listening, serve

    with laid_out(against or []) as others:
        result = open_result(folder, others)
        model, asked = Model(result), Asked(result, [params_of(place) for place in (folder, *others.values())], cache_file())
        pages = checked(Pages(result, "view", model, asked))
        bound = listening(host, port)
        name = "127.0.0.1" if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
        address = f"http://{name}:{bound.getsockname()[1]}/"
        typer.echo(f"{address}   (stop with Ctrl-C)", err=True)
        serve(application(pages, model, (host, *(allow_host or []))), bound, address if browser else None)
