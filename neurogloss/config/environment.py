"""The machine: what changes only speed or place. Read from the environment when asked, never at import.

NEUROGLOSS_CACHE        folder for downloads and phrase profiles (default: the user's cache folder)
NEUROGLOSS_DEVICE       torch device, or auto: the layers over all GPUs of this machine (default: cuda where there is one, else cpu)
NEUROGLOSS_THREADS      CPU threads of torch (default: the cores this process may use; one for each Ray worker)
NEUROGLOSS_MEMORY_MB    memory a stage may use beyond the model (default: 1500)
NEUROGLOSS_DEVICE_MEMORY_MB  the same of a GPU's memory (default: nine tenths of what is free)
NEUROGLOSS_RECORDER     device: record on a CPU the way a GPU does, to compare the two (default: by compiled loops there)
ENGINE=ray              spread the work over a Ray cluster (default: local)
RAY_ADDRESS             where the cluster is, HOST:PORT (default: one started on this machine)
OPENAI_API_KEY          key of an OpenAI-compatible endpoint; models with key_from name another variable
OPENAI_BASE_URL         that endpoint; models with base_url_from name another variable (default: OpenAI's)
OPENAI_ORG_ID           organisation, and OPENAI_PROJECT_ID project, sent to OpenAI alone
NEUROGLOSS_CONCURRENCY  requests in flight at an endpoint (default: 16)
NEUROGLOSS_TIMEOUT_S    seconds an endpoint may take for one answer (default: 120)
NEUROGLOSS_RETRY_S      seconds one request may be tried again and again (default: 600)
NEUROGLOSS_BUDGET_USD   what the language models of one run may cost (default: no limit)
REFRESH=1               ask again what is in the cache of replies
BATCH=1                 ask through the endpoint's batch API: slower, half the price
MLFLOW_TRACKING_URI     MLflow server or store (default: .mlflow/mlflow.db in the repository)
MLFLOW_EXPERIMENT_NAME  experiment of MLflow (default: neurogloss)
DVC_ROOT                set by DVC: the repository, also from its temporary workspaces
"""

import math
import os
import tempfile
from pathlib import Path
from typing import Literal

from neurogloss.errors import UserError


def cache_folder() -> Path:
    """Where downloads are kept between runs and projects."""
    chosen = os.environ.get("NEUROGLOSS_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    try:
        return Path(base).expanduser() / "neurogloss"
    except RuntimeError:  # A user without a name, as in a container, has no home either.
        return Path(tempfile.gettempdir()) / f"neurogloss-{os.getuid()}"


def repository() -> Path:
    """The repository's root, the same from DVC's temporary workspaces and from the folders below it; outside of one this folder."""
    if root := os.environ.get("DVC_ROOT"):
        return Path(root)
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / ".dvc" / "config").is_file()), here)


def threads() -> int:
    """CPU threads for arithmetic."""
    return positive("NEUROGLOSS_THREADS", len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def memory_mb() -> int:
    """Megabytes a stage may use beyond the model."""
    return positive("NEUROGLOSS_MEMORY_MB", 1500)


def device_memory_mb() -> int | None:
    """Megabytes a stage may use of a device; None where that follows from what is free."""
    return positive("NEUROGLOSS_DEVICE_MEMORY_MB", 1) if os.environ.get("NEUROGLOSS_DEVICE_MEMORY_MB") else None


def recorder() -> Literal["loops", "device"]:
    """What records on a CPU; UserError for any other name."""
    chosen = os.environ.get("NEUROGLOSS_RECORDER", "") or "loops"
    if chosen in ("loops", "device"):
        return chosen  # type: ignore[return-value]  # one of the two
    raise UserError(f"NEUROGLOSS_RECORDER is {chosen!r}, expected loops or device")


def engine() -> Literal["local", "ray"]:
    """What runs the shards of a stage; UserError for any other name."""
    chosen = os.environ.get("ENGINE", "") or "local"
    if chosen in ("local", "ray"):
        return chosen  # type: ignore[return-value]  # one of the two
    raise UserError(f"ENGINE is {chosen!r}, expected local or ray")


def concurrency() -> int:
    """Requests in flight at an endpoint."""
    return positive("NEUROGLOSS_CONCURRENCY", 16)


def answer_timeout_s() -> int:
    """Seconds an endpoint may take for one answer."""
    return positive("NEUROGLOSS_TIMEOUT_S", 120)


def retry_limit_s() -> int:
    """Seconds from the first try of a request to its last."""
    return positive("NEUROGLOSS_RETRY_S", 600)


def budget_usd() -> float | None:
    """What the language models of one run may cost; None without a limit."""
    text = os.environ.get("NEUROGLOSS_BUDGET_USD", "").strip()
    if not text:
        return None
    try:
        limit = float(text)
    except ValueError:
        limit = math.nan
    if not (math.isfinite(limit) and limit >= 0):
        raise UserError(f"NEUROGLOSS_BUDGET_USD is {text!r}, expected US dollars such as 2.50")
    return limit


def flag(variable: str) -> bool:
    """Whether a switch such as REFRESH or BATCH is on."""
    text = os.environ.get(variable, "").strip().lower()
    if text not in ("", "0", "1", "false", "true", "no", "yes"):
        raise UserError(f"{variable} is {text!r}, expected 1 or 0")
    return text in ("1", "true", "yes")


def positive(variable: str, default: int) -> int:
    """A positive whole number from the environment; UserError otherwise."""
    text = os.environ.get(variable, "")
    if not text:
        return default
    if not text.isdecimal() or int(text) < 1:
        raise UserError(f"{variable} is {text!r}, expected a positive whole number")
    return int(text)
