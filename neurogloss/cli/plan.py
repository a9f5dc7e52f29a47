"""neurogloss plan: what a run would ask and cost, before it does."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from neurogloss.config.params import Params


def plan(
    params: Annotated[Path, typer.Option(help="The params file.")] = Path("params.yaml"),
    recordings: Annotated[Path, typer.Option(help="What record wrote.")] = Path("data/recordings"),
    changes: Annotated[
        list[str] | None, typer.Option("--set-param", "-S", help="Plan with PARAM=VALUE, as `dvc exp run -S` would run; may be repeated.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line instead of a table.")] = False,
) -> None:
    """Show how many requests, tokens, minutes and dollars the current params take, second tries not counted. Makes no requests."""
    import json
    from dataclasses import asdict

    from neurogloss.artifacts.recordings import read_recordings
    from neurogloss.cli.plan_view import plan_table
    from neurogloss.cli.planning import plan as planned
    from neurogloss.cli.text import console
    from neurogloss.config.params import load_params
    from neurogloss.errors import UserError
    from neurogloss.llm.cache import Cache, cache_file

    settings = changed_params(params, changes) if changes else load_params(params)
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


def changed_params(path: Path, changes: list[str]) -> "Params":
    """The params with these changes, made by DVC's own code in a copy; UserError for one that cannot be made."""
    import shutil
    import tempfile

    from dvc.exceptions import DvcException
    from dvc.utils.hydra import apply_overrides

    from neurogloss.config.params import load_params
    from neurogloss.errors import UserError

    load_params(path)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copy(path, Path(folder) / "params.yaml"))
        try:
            apply_overrides(copy, changes)
        except (DvcException, ValueError) as error:
            reason = str(error.__cause__ or error).strip().splitlines()[0]
            raise UserError(f"-S {' -S '.join(changes)}: {reason}; expected PARAM=VALUE, as `dvc exp run -S` takes") from error
        return load_params(copy)
