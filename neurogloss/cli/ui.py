"""neurogloss ui: MLflow's pages, opened on the answer."""

from typing import Annotated

import typer


def ui(
    port: Annotated[int, typer.Option(help="Port on this machine.", min=1, max=65535)] = 5000,
    browse: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the address.")] = True,
    start: Annotated[bool, typer.Option("--serve/--no-serve", help="Serve, or only say where the runs will be.")] = True,
) -> None:
    """Serve MLflow's UI and open it on the runs that can be compared with this result, the best first."""
    from neurogloss.config.params import load_params
    from neurogloss.tracking.server import announce, serve
    from neurogloss.tracking.store import locate_store

    store = locate_store()
    params = load_params(store.root / "params.yaml").track
    if start:
        serve(store, port, params, typer.echo, browse)
    else:
        announce(store, port, params, typer.echo)
