"""Params with `-S PARAM=VALUE` changes, for commands that look at a variant without running it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from neurogloss.artifacts.recordings import Recordings
    from neurogloss.config.params import Params
    from neurogloss.llm.cache import Cache

ParamsFile = Annotated[Path, typer.Option(help="The params file.")]
RecordingsFolder = Annotated[Path, typer.Option(help="What record wrote.")]
Changes = Annotated[
    list[str] | None, typer.Option("--set-param", "-S", help="Take PARAM=VALUE, as `dvc exp run -S` would run; may be repeated.")
]


@contextmanager
def open_variant(recordings: Path, params: Path, changes: list[str] | None) -> "Iterator[tuple[Recordings, Params, Cache]]":
    """What was recorded, the changed params and the cache of replies; UserError where nothing is recorded yet."""
    from neurogloss.artifacts.recordings import read_recordings
    from neurogloss.errors import UserError
    from neurogloss.llm.cache import Cache, cache_file

    settings = changed_params(params, changes)
    if not recordings.exists():
        raise UserError(f"{recordings} is not there yet; run `dvc repro record`, which asks no language model, then run this again")
    cache = Cache(cache_file())
    try:
        yield read_recordings(recordings), settings, cache
    finally:
        cache.close()


def changed_params(path: Path, changes: list[str] | None) -> "Params":
    """The params with these changes, made by DVC's own code in a copy; UserError for one that cannot be made."""
    from neurogloss.config.params import load_params

    present = load_params(path)
    if not changes:
        return present
    import shutil
    import tempfile

    from dvc.exceptions import DvcException
    from dvc.utils.hydra import apply_overrides

    from neurogloss.errors import UserError

    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copy(path, Path(folder) / "params.yaml"))
        try:
            apply_overrides(copy, changes)
        except (DvcException, ValueError) as error:
            reason = str(error.__cause__ or error).strip().splitlines()[0].rstrip(".")
            absent = f"{path.name} does not name it; +PARAM=VALUE adds what is absent there and has its default"
            hint = absent if reason.startswith("Could not override") else "expected PARAM=VALUE, as `dvc exp run -S` takes"
            raise UserError(f"-S {' -S '.join(changes)}: {reason}; {hint}") from error
        return load_params(copy)
