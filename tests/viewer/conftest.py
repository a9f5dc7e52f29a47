import contextlib
import functools
import http.server
import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import uvicorn
from playwright.sync_api import Browser, Page, sync_playwright

from neurogloss.artifacts.recordings import Keys, read_recordings, write_recordings
from neurogloss.artifacts.units import UnitKind
from neurogloss.config.subject import SubjectParams
from neurogloss.viewer.model import Model
from neurogloss.viewer.pages import Pages
from neurogloss.viewer.result import open_result
from neurogloss.viewer.server import application, listening
from neurogloss.viewer.site import write_site
from tests.viewer.made_up import small

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")  # While it is open an event loop runs in this thread, in which other tests could not run theirs.
def browser() -> Iterator[Browser]:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no browser is installed and none could be; `make browser` installs one")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that must log no error, run no foreign code and ask no other host."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    opened = context.new_page()
    opened.set_default_timeout(8000)
    faults: list[str] = []
    opened.on("console", lambda message: faults.append(message.text) if message.type in ("error", "warning") else None)
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.on("dialog", lambda dialog: faults.append(dialog.message))
    opened.on("request", lambda request: faults.append(request.url) if not is_local(request.url) else None)
    yield opened
    hit = opened.evaluate("window.hit")
    context.close()
    assert not faults
    assert hit is None


def is_local(address: str) -> bool:
    return address.startswith(("http://127.0.0.1:", "file://", "blob:", "data:"))


@pytest.fixture(scope="session")
def small_result(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="session")
def small_site(small_result: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site") / "site"
    write_site(Pages(open_result(small_result), "site"), out)
    return out


@pytest.fixture(scope="session")
def hostile_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    write_site(Pages(open_result(small(folder, hostile=True)), "site"), folder / "site")
    return folder / "site"


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="session")
def plain_server() -> Iterator[Callable[[Path], str]]:
    """Serve a folder as any web server does."""
    with contextlib.ExitStack() as stack:

        def serve(folder: Path) -> str:
            server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
            stack.callback(server.server_close)
            stack.callback(server.shutdown)
            threading.Thread(target=server.serve_forever, daemon=True).start()
            return f"http://127.0.0.1:{server.server_port}/"

        yield serve


@pytest.fixture(scope="session")
def view_server() -> Iterator[Callable[[Pages], str]]:
    """Serve pages as `neurogloss view` does."""
    servers: list[tuple[uvicorn.Server, threading.Thread]] = []

    def serve(pages: Pages) -> str:
        bound = listening("127.0.0.1", 0)
        server = uvicorn.Server(
            uvicorn.Config(application(pages, pages.model if isinstance(pages.model, Model) else None), log_level="error", lifespan="off")
        )
        thread = threading.Thread(target=server.run, args=([bound],), daemon=True)
        thread.start()
        servers.append((server, thread))
        while not server.started:
            time.sleep(0.01)
        return f"http://127.0.0.1:{bound.getsockname()[1]}/"

    yield serve
    for server, thread in servers:
        server.should_exit = True
        thread.join(5)


@pytest.fixture(scope="session")
def small_view(small_result: Path, view_server: Callable[[Pages], str]) -> str:
    return view_server(Pages(open_result(small_result), "view"))


def ready(page: Page, address: str) -> None:
    """Open an address and wait until its page is shown."""
    page.goto(address)
    page.wait_for_selector("body[data-ready=yes]")


@pytest.fixture(scope="session")
def modelled(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Pages:
    """Pages of a result whose subject can be loaded."""
    params = SubjectParams(model=str(tiny_model), revision=None, sha256=None, dtype="float32", site="auto")
    folder = small(tmp_path_factory.mktemp("modelled"), layers=2, subject=params.model_dump())
    result = open_result(folder)
    return Pages(result, "view", Model(result))


@pytest.fixture(scope="session")
def heads_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site of heads; the first unit's strongest token reads token 5 and itself, and hardly token 2, in every excerpt."""
    folder = small(tmp_path_factory.mktemp("heads"))
    found = read_recordings(folder / "data" / "recordings")
    queries = np.asarray(found.activations).argmax(axis=2)
    places = np.stack([np.full_like(queries, 5), queries, np.full_like(queries, 2)], axis=2).astype(np.int16)
    norms = np.broadcast_to(np.array([2, 1, 0.02], np.float16), places.shape).copy()
    norms[1:, :, 1:] = 0
    heads = replace(
        found, kind=UnitKind.HEADS, keys=Keys(places, norms), activations=np.array(found.activations), excerpts=np.array(found.excerpts)
    )
    write_recordings(folder / "data" / "recordings", heads)
    write_site(Pages(open_result(folder), "site"), folder / "site")
    return folder / "site"


@pytest.fixture(scope="session")
def latents_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site of the latents of one layer's autoencoder."""
    folder = small(tmp_path_factory.mktemp("latents"))
    header = folder / "data" / "recordings" / "recordings.json"
    found = json.loads(header.read_text(encoding="utf-8"))
    found["about"]["sae"] = [{"layer": 1, "format": "SAELens", "variance_explained": 0.8891, "l0": 24.04, "latents": 16384}]
    header.write_text(json.dumps(found | {"units": "latents"}), encoding="utf-8")
    write_site(Pages(open_result(folder), "site"), folder / "site")
    return folder / "site"


@pytest.fixture(scope="session")
def model_view(modelled: Pages, view_server: Callable[[Pages], str]) -> str:
    return view_server(modelled)
