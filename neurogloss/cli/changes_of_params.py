"""Params with `-S PARAM=VALUE` changes, for commands that look at a variant without running it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from neurogloss.config.params import Params

Changes = Annotated[
    list[str] | None, typer.Option("--set-param", "-S", help="Take PARAM=VALUE, as `dvc exp run -S` would run; may be repeated.")
]


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
            reason = str(error.__cause__ or error).strip().splitlines()[0]
            raise UserError(f"-S {' -S '.join(changes)}: {reason}; expected PARAM=VALUE, as `dvc exp run -S` takes") from error
        return load_params(copy)
