"""Folders made in one go: never half written, never over something else."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from neurogloss.artifacts.files import written
from neurogloss.errors import UserError


@contextmanager
def fresh_folder(path: Path, ours: str) -> Iterator[Path]:
    """A temporary folder that becomes `path` when the block ends well.

    An existing folder is replaced only if it is empty or holds the file `ours`, which says that an earlier run made it.
    """
    if path.exists() and not path.is_dir():
        raise UserError(f"{path} is a file, expected a folder to write; name another one")
    if path.is_dir() and any(path.iterdir()) and not (path / ours).exists():
        raise UserError(f"{path} holds other files (no {ours}); name a folder that is empty or new")
    with written(path.resolve()) as temporary:
        temporary.mkdir()
        yield temporary
