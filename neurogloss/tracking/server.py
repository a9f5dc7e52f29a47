"""MLflow's UI on the store, and the address at which it answers which result is better."""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
import webbrowser
from collections.abc import Callable

from neurogloss.comparison.lock import read_lock
from neurogloss.config.track import TrackParams
from neurogloss.errors import UserError
from neurogloss.tracking.reference import find_references
from neurogloss.tracking.run import update_differences
from neurogloss.tracking.store import Store, opened, set_mlflow_defaults
from neurogloss.tracking.views import save_view

START_S = 120.0
"""How long the server may take to answer."""
DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")


def landing(store: Store, params: TrackParams) -> str:
    """Bring the differences up to date and save the view of this project's runs; its address below the server's."""
    lock = store.root / "dvc.lock"
    recordings = read_lock(lock).recordings if lock.exists() else ""
    references = find_references(store, params.reference)
    with opened(store) as (client, experiment):
        update_differences(client, experiment, store, references)
        return save_view(client, experiment, recordings)


def serve(store: Store, port: int, params: TrackParams, say: Callable[[str], None], browse: bool) -> None:
    """Serve until it is interrupted; where the store is a server already, only say and open the address."""
    path = landing(store, params)
    if store.database is None:
        show(f"{store.shown.rstrip('/')}/{path}", say, browse)
        return
    set_mlflow_defaults()
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_ENABLE_AI_GATEWAY": "false", "PYTHONWARNINGS": "ignore"}
    server = subprocess.Popen(command(store, port), env=os.environ | quiet)
    try:
        wait(server, f"http://127.0.0.1:{port}/health")
        show(f"http://127.0.0.1:{port}/{path}", say, browse)
        server.wait()
    except KeyboardInterrupt:
        pass
    finally:
        server.terminate()
        server.wait()


def announce(store: Store, port: int, params: TrackParams, say: Callable[[str], None]) -> None:
    """Say where the runs are, or will be once they are served."""
    base = store.shown.rstrip("/") if store.database is None else f"http://127.0.0.1:{port}"
    show(f"{base}/{landing(store, params)}", say, browse=False)
    if store.database:
        say("`make ui` serves and opens it")


def command(store: Store, port: int) -> list[str]:
    """MLflow's server on this machine: one worker and no runner of jobs, or it takes a gigabyte."""
    place = [
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--backend-store-uri",
        store.address,
        "--default-artifact-root",
        store.artifacts or "",
    ]
    return [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--uvicorn-opts", "--log-level=warning", *place]


def wait(server: "subprocess.Popen[bytes]", address: str) -> None:
    """Return when it answers; UserError where it ends or takes too long."""
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        if server.poll() is not None:
            raise UserError(f"MLflow's server ended with status {server.returncode}; is the port taken? Name another: --port 5001")
        try:
            with urllib.request.urlopen(address, timeout=5):  # http on this machine
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise UserError(f"{address} does not answer after {START_S:g} s; run again or name another port")


def show(address: str, say: Callable[[str], None], browse: bool) -> None:
    """Print the addresses and open the first."""
    say(f"runs, the best first:  {address}")
    say(f"the same as charts:    {address}&compareRunsMode=CHART")
    if browse and (sys.platform in ("darwin", "win32") or any(os.environ.get(name) for name in DISPLAYS)):
        webbrowser.open(address)
