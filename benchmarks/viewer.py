"""How fast the viewer is in a real browser, on made-up recordings of the subject's own shape, or of any number of neurons.

    python -m benchmarks.viewer [--layers 30] [--neurons 46080] [--bare] [--view-only]

The weights are those of the default subject unless `--bare` says to do without (then any shape goes, such as --layers 48 --neurons 307200).
`neurogloss site` writes the pages and `neurogloss view` serves them, each in a process of its own; Chromium opens both.
The last line is JSON: `neurons`, `site_s`, `site_cpu_s` (what counts while others work on the machine), `site_mb`, `files`, `largest_mb`,
`peak_mb` (of `site`, memory-mapped pages included), and for `site` and `view` each `overview_ms` (from address to table,
cold), `neuron_ms` and `search_ms` (median and worst), `meaning_ms` (first search by meaning, then the median) and `around_ms` (similar and
connected neurons: first, then the median).
"""

import argparse
import functools
import http.server
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from playwright.sync_api import Page, sync_playwright

from tests.viewer.conftest import ARGUMENTS, Quiet
from tests.viewer.made_up import WORDS, large

NEUROGLOSS = (sys.executable, "-m", "neurogloss.cli.main")
VISITS, SEARCHES = 30, 12


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--neurons", type=int, default=46080)
    parser.add_argument("--layers", type=int, default=30)
    parser.add_argument("--bare", action="store_true", help="without the subject's weights")
    parser.add_argument("--view-only", action="store_true", help="write no site")
    chosen = parser.parse_args()
    params = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    subject, record = None if chosen.bare else params["subject"], params["record"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        large(folder / "result", chosen.layers, chosen.neurons // chosen.layers, record["top"], record["random"], subject)
        found: dict[str, Any] = {"neurons": chosen.neurons, "model": not chosen.bare}
        if not chosen.view_only:
            found |= written(folder, chosen.bare)
            print(json.dumps(found), file=sys.stderr)
            with served(folder / "site") as address:
                found["site"] = looked_at(address, chosen.layers, chosen.neurons, chosen.bare)
        with viewed(folder / "result") as address:
            found["view"] = looked_at(address, chosen.layers, chosen.neurons, chosen.bare)
    print(json.dumps(found))


def written(folder: Path, bare: bool) -> dict[str, Any]:
    """Seconds, size and peak memory of `neurogloss site`."""
    words = [*NEUROGLOSS, "site", str(folder / "site"), "--result", str(folder / "result"), *(["--no-model"] if bare else [])]
    start = time.perf_counter()
    process = os.posix_spawn(sys.executable, words, os.environ)
    _, status, usage = os.wait4(process, 0)
    if status:
        raise SystemExit(f"site ended with status {os.waitstatus_to_exitcode(status)}")
    sizes = [path.stat().st_size for path in (folder / "site").rglob("*") if path.is_file()]
    return {
        "site_s": round(time.perf_counter() - start, 1),
        "site_cpu_s": round(usage.ru_utime + usage.ru_stime, 1),
        "site_mb": round(sum(sizes) / 1e6, 1),
        "files": len(sizes),
        "largest_mb": round(max(sizes) / 1e6, 2),
        "peak_mb": round(usage.ru_maxrss / 1024),
    }


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a plain file server."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@contextmanager
def viewed(result: Path) -> Iterator[str]:
    """The address at which `neurogloss view` serves the result."""
    words = [*NEUROGLOSS, "view", str(result), "--no-open", "--port", "0"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield next(line.split()[0] for line in process.stderr or () if line.startswith("http"))
        finally:
            process.terminate()


def chromium() -> str | None:
    """The browser that the tests use."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def looked_at(address: str, layers: int, neurons: int, bare: bool) -> dict[str, Any]:
    """Milliseconds a person waits."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(120_000)
        start = time.perf_counter()
        page.goto(address)
        page.wait_for_selector(".rows .row")
        found: dict[str, Any] = {"overview_ms": round((time.perf_counter() - start) * 1000)}
        found["search_ms"] = middle_and_worst(searches(page))
        if not bare:
            page.get_by_label("Search by").select_option("meaning")
            found["meaning_ms"] = first_and_middle(searches(page))
        found |= visits(page, layers, neurons // layers, bare)
        browser.close()
    return found


def timed(page: Page, act: str, done: str) -> float:
    """Milliseconds from doing `act` in the page until `done` holds and is drawn."""
    found: float = page.evaluate(f"""async () => {{
        const start = performance.now();
        {act};
        while (!({done})) {{
            if (performance.now() - start > 120000) throw new Error("never came");
            await new Promise(requestAnimationFrame);
        }}
        await new Promise((drawn) => requestAnimationFrame(() => setTimeout(drawn)));
        return performance.now() - start;
    }}""")
    return found


def searches(page: Page) -> list[float]:
    """Milliseconds of one search after another; each finds something."""
    rng = random.Random(0)
    found = []
    for _ in range(SEARCHES):
        row, words = "document.querySelector('.rows .row')", " ".join(rng.sample(WORDS, 2))
        page.evaluate(f"() => {row}.setAttribute('data-old', '')")
        act = f"const box = document.getElementById('by-q'); box.value = '{words}'; box.dispatchEvent(new Event('input'))"
        found.append(timed(page, act, f"{row} && !{row}.hasAttribute('data-old')"))
    return found


def visits(page: Page, layers: int, per_layer: int, bare: bool) -> dict[str, Any]:
    """Milliseconds until a neuron's excerpts are drawn, and then until the neurons around it are."""
    rng = random.Random(0)
    shown, around = [], []
    for _ in range(VISITS):
        name = f"L{rng.randrange(layers)}.N{rng.randrange(per_layer)}"
        there = f"document.querySelector('h1')?.textContent.startsWith('{name} ') && document.querySelector('.excerpt .t')"
        shown.append(timed(page, f"location.hash = '#/neuron/{name}'", there))
        around.append(timed(page, "", f"document.querySelectorAll('.near').length >= {1 if bare else 3}"))
    return {"neuron_ms": middle_and_worst(shown), "around_ms": first_and_middle(around)}


def middle_and_worst(values: list[float]) -> list[int]:
    return [round(statistics.median(values)), round(max(values))]


def first_and_middle(values: list[float]) -> list[int]:
    return [round(values[0]), round(statistics.median(values[1:]))]


if __name__ == "__main__":
    main()
