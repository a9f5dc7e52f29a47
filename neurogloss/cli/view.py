"""neurogloss view: look at the present result in the browser."""

from pathlib import Path
from typing import Annotated

import typer


def view(
    folder: Annotated[Path, typer.Argument(help="The result: a folder that holds data/.")] = Path(),
    against: Annotated[list[str] | None, typer.Option(help="Another result of the same recordings, as NAME=FOLDER or FOLDER.")] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; the default is this machine only.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any free port.")] = 8765,
    allow_host: Annotated[list[str] | None, typer.Option(help="Also answer to this host name.")] = None,
    browser: Annotated[bool, typer.Option("--open/--no-open", help="Open the browser.")] = True,
) -> None:
    """Show the result in the browser, until interrupted."""
    from neurogloss.viewer.model import Model
    from neurogloss.viewer.pages import Pages, checked
    from neurogloss.viewer.result import named, open_result
    from neurogloss.viewer.server import application, listening, serve

    result = open_result(folder, named(against or []))
    model = Model(result)
    pages = checked(Pages(result, "view", model))
    bound = listening(host, port)
    address = f"http://{'127.0.0.1' if host in ('0.0.0.0', '::') else f'[{host}]' if ':' in host else host}:{bound.getsockname()[1]}/"
    typer.echo(f"{address}   (stop with Ctrl-C)", err=True)
    serve(application(pages, model, (host, *(allow_host or []))), bound, address if browser else None)
