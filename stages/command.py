"""How a stage becomes a command: shared options, errors as one line, and an end when the parent ends."""

import ctypes
import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from stages.errors import UserError

Out = Annotated[Path, typer.Option(help="What this stage writes.")]
ParamsFile = Annotated[Path, typer.Option("--params", help="Where the params stand.")]


def command(main: Callable[..., Any]) -> None:
    """Run one stage: logging to stderr, a UserError as one message and exit code 2."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    run(app)


def run(app: typer.Typer) -> None:
    """Run an application; a UserError is one message on stderr and exit code 2, anything else keeps its traceback."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    for noisy in ("httpx", "httpx2", "openai", "urllib3", "filelock", "alembic", "mlflow", "matplotlib"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        app()
    except UserError as error:
        sys.stderr.write(f"error: {error}\n")
        raise SystemExit(2) from None


def die_with_parent() -> None:
    """Ask Linux to end this process when its parent ends, so that a killed `dvc repro` leaves no second writer; elsewhere do nothing."""
    if sys.platform != "linux":
        return
    pr_set_pdeathsig, parent = 1, os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, signal.SIGTERM)
    # The parent ended during the call. Process 1 as such is no sign of that: in a container it is the parent.
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)
