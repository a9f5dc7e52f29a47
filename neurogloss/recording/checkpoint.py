"""Half-finished work on disk: kept as the run goes, taken up again after a kill, never mixed up between runs."""

import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from filelock import FileLock, Timeout

from neurogloss.artifacts.files import written
from neurogloss.errors import UserError

logger = logging.getLogger(__name__)

SECONDS = 120.0
"""A save costs seconds where there are many neurons; at most so much work is lost with a killed run."""


ENDING_S = 10.0
"""How long a run that another one keeps out waits: a killed run may need a moment to end."""


def run_key(facts: Mapping[str, Any]) -> str:
    """Name of a run: equal for equal facts."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:24]


@dataclass
class Scratch:
    """The folder of one run."""

    folder: Path
    key: str
    saved: float = field(default_factory=time.monotonic)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other runs of this key out until the block or the process ends; UserError where one goes on for longer than ENDING_S."""
        path = self.folder.with_name(f"{self.folder.name}.lock")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(path, timeout=ENDING_S):
                path.write_text(str(os.getpid()), encoding="utf-8")
                yield
        except Timeout as error:
            holder = path.read_text(encoding="utf-8").strip() or "unknown"
            raise UserError(
                f"the same is being recorded by another run (process {holder}, which holds {path}); "
                "wait for its end, or stop it, and run again"
            ) from error
        except PermissionError as error:
            raise UserError(f"cannot write {path}: {error.strerror}; free or change the disk and run again") from error

    def due(self) -> bool:
        """Whether the last save is long enough ago."""
        return time.monotonic() - self.saved >= SECONDS

    def save(self, name: str, arrays: Mapping[str, np.ndarray], progress: Mapping[str, Any]) -> None:
        """Keep arrays under `name` in place of what was kept there; at any moment one of the two is whole."""
        earlier = self.kept(name)
        number = 1 + (int(earlier[-1].suffix[1:]) if earlier else 0)
        with written(self.folder / f"{name}.{number:06d}") as temporary:
            temporary.mkdir()
            for label, array in arrays.items():
                np.save(temporary / f"{label}.npy", array, allow_pickle=False)
            sizes = {file.name: file.stat().st_size for file in sorted(temporary.iterdir())}
            note = {"key": self.key, "sizes": sizes, "progress": dict(progress)}
            (temporary / "note.json").write_text(json.dumps(note), encoding="utf-8")
        for folder in earlier:
            shutil.rmtree(folder, ignore_errors=True)
        self.saved = time.monotonic()

    def kept(self, name: str) -> list[Path]:
        """Folders kept under `name`, the latest last."""
        return sorted(self.folder.glob(f"{name}.[0-9]*"))

    def load(self, name: str, mapped: bool = False) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
        """Arrays and progress kept last under `name`; None, with a line in the log, where they are cut short or of another run.

        `mapped` arrays stay on disk until they are read.
        """
        mode: Literal["r"] | None = "r" if mapped else None
        for folder in reversed(self.kept(name)):
            try:
                note = json.loads((folder / "note.json").read_text(encoding="utf-8"))
                if note["key"] == self.key and all((folder / file).stat().st_size == size for file, size in note["sizes"].items()):
                    return {Path(file).stem: np.load(folder / file, mode, allow_pickle=False) for file in note["sizes"]}, note["progress"]
            except (OSError, ValueError, KeyError, TypeError, AttributeError):
                pass
            logger.warning("%s is cut short or of another run; it is ignored", folder)
        return None

    def remove(self) -> None:
        """The run is finished."""
        shutil.rmtree(self.folder, ignore_errors=True)
