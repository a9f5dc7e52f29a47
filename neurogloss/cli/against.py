"""Results to look at beside one another: folders, and whatever `neurogloss compare` takes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from neurogloss.config.params import Params


@contextmanager
def laid_out(names: list[str]) -> Iterator[dict[str, Path]]:
    """Name -> a folder that holds its data/, for each of `names`: NAME=WHAT or WHAT, which is a folder, `workspace`, an experiment, a
    revision, or an MLflow run. Folders that were made go with the block. UserError for what is none, and for data that are not here.
    """
    import tempfile

    from neurogloss.errors import UserError

    found: dict[str, Path] = {}
    with tempfile.TemporaryDirectory() as made:
        for number, given in enumerate(names):
            name, what = given.split("=", 1) if "=" in given else (given, given)
            folder = Path(what)
            if folder.is_dir():
                name = folder.resolve().name if name == what else name
            else:
                from neurogloss.tracking.variants import lay_out_result

                folder = Path(made) / str(number)
                folder.mkdir()
                lay_out_result(what, folder)
            if name in found:
                raise UserError(f"--against names {name!r} twice; give one another name: NAME={what}")
            found[name] = folder
        yield found


def params_of(folder: Path) -> "Params | None":
    """The params that stand beside a result; None where there are none, or none that can be read."""
    from neurogloss.config.params import load_params
    from neurogloss.errors import UserError

    try:
        return load_params(folder / "params.yaml")
    except UserError:
        return None
