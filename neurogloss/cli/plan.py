"""neurogloss plan: what a run would ask and cost, before it does."""

from pathlib import Path
from typing import Annotated

import typer

from neurogloss.cli.changes_of_params import Changes, ParamsFile, RecordingsFolder, open_variant


def plan(
    params: ParamsFile = Path("params.yaml"),
    recordings: RecordingsFolder = Path("data/recordings"),
    changes: Changes = None,
    directions: Annotated[bool, typer.Option("--directions", help="What `neurogloss directions` would ask, instead of a run.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line instead of a table.")] = False,
) -> None:
    """Show how many requests, tokens, minutes and dollars the current params take, second tries not counted. Makes no requests."""
    import json
    from dataclasses import asdict

    from neurogloss.cli.plan_view import plan_table
    from neurogloss.cli.planning import plan as planned
    from neurogloss.cli.planning import plan_directions
    from neurogloss.cli.text import console

    with open_variant(recordings, params, changes) as (recorded, settings, cache):
        steps = (plan_directions if directions else planned)(recorded, settings, cache)
    if as_json:
        typer.echo(json.dumps([asdict(step) for step in steps]))
        return
    for part in plan_table(steps, settings):
        console().print(part)
