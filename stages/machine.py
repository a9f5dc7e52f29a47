"""The machine: what changes only speed or place. Read from the environment when asked, never at import.

NEUROGLOSS_CACHE     folder for downloads and profiles (default: the user's cache folder)
NEUROGLOSS_DEVICE    torch device (default: cuda where there is one, else cpu)
NEUROGLOSS_THREADS   CPU threads of torch (default: the cores this process may use)
NEUROGLOSS_MEMORY_MB memory a stage may use beyond the model (default: 1500)
DVC_ROOT             set by DVC: the repository, also from its temporary workspaces
"""

import os
from pathlib import Path

from stages.errors import UserError


def cache_folder() -> Path:
    """Where downloads are kept between runs and projects."""
    chosen = os.environ.get("NEUROGLOSS_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "neurogloss"


def repository() -> Path:
    """The repository's root, the same from DVC's temporary workspaces."""
    return Path(os.environ.get("DVC_ROOT") or Path.cwd())


def threads() -> int:
    """CPU threads for arithmetic."""
    return positive("NEUROGLOSS_THREADS", len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def memory_mb() -> int:
    """Megabytes a stage may use beyond the model."""
    return positive("NEUROGLOSS_MEMORY_MB", 1500)


def device() -> str:
    """The torch device; imports torch only when none is named."""
    chosen = os.environ.get("NEUROGLOSS_DEVICE")
    if chosen:
        return chosen
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def positive(variable: str, default: int) -> int:
    """A positive whole number from the environment; UserError otherwise."""
    text = os.environ.get(variable, "")
    if not text:
        return default
    if not text.isdecimal() or int(text) < 1:
        raise UserError(f"{variable} is {text!r}, expected a positive whole number")
    return int(text)
