"""neurogloss plan: what a run would ask and cost, before it does."""

from pathlib import Path
from typing import Annotated

import typer

from neurogloss.cli.changes_of_params import Changes, changed_params


def plan(
    params: Annotated[Path, typer.Option(help="The params file.")] = Path("params.yaml"),
    recordings: Annotated[Path, typer.Option(help="What record wrote.")] = Path("data/recordings"),
    changes: Changes = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line instead of a table.")] = False,
) -> None:
    """Show how many requests, tokens, minutes and dollars the current params take, second tries not counted. Makes no requests."""
    import json
    from dataclasses import asdict

    from neurogloss.artifacts.recordings import read_recordings
    from neurogloss.cli.plan_view import plan_table
    from neurogloss.cli.planning import plan as planned
    from neurogloss.cli.text import console
    from neurogloss.errors import UserError
    from neurogloss.llm.cache import Cache, cache_file

    settings = changed_params(params, changes)
    if not recordings.exists():
        raise UserError(f"{recordings} is not there yet; run `dvc repro record`, which asks no language model, then plan again")
    cache = Cache(cache_file())
    try:
        steps = planned(read_recordings(recordings), settings, cache)
    finally:
        cache.close()
    if as_json:
        typer.echo(json.dumps([asdict(step) for step in steps]))
        return
    for part in plan_table(steps, settings):
        console().print(part)
