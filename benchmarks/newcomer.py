"""What a newcomer clicks in MLflow: from `neurogloss ui` to the best prompt, its interval, and the excerpts of a unit that it got wrong.

python -m benchmarks.newcomer [--out FOLDER]    in a folder with several tracked results, such as after `make compare`

One line of JSON: `answer_s` (from starting the server until the best run stands there with its interval), `clicks` up to there,
`excerpts_clicks` (from a prompt's version to a unit's excerpts), `best` and `verdict`. The pictures go to the folder.
"""

import argparse
import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

from benchmarks.viewer import chromium
from tests.viewer.conftest import ARGUMENTS

SECONDS = 120


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("newcomer"))
    chosen = parser.parse_args()
    sys.stdout.write(json.dumps(walk(Path(), chosen.out, None)) + "\n")


def walk(folder: Path, out: Path, environment: dict[str, str] | None) -> dict[str, Any]:
    """Serve the store of a folder and click through it."""
    out.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with served(folder, environment) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1400, "height": 720}, color_scheme="light")
        page.set_default_timeout(1000 * SECONDS)
        found = {"clicks": 0, **answer(page, address)}
        found["answer_s"] = round(time.monotonic() - began, 1)
        close_assistant(page)
        page.screenshot(path=out / "mlflow-runs.png")
        page.locator("[role=radiogroup] label").nth(1).click()
        page.get_by_text("Which is better?").wait_for()
        page.locator(".js-plotly-plot .barlayer path").first.wait_for()
        page.wait_for_timeout(1000)
        page.screenshot(path=out / "mlflow-charts.png")
        found["excerpts_clicks"] = excerpts(page, address, out)
        browser.close()
    return found


def answer(page: Page, address: str) -> dict[str, str]:
    """The first row: the best run and its difference with the interval, which stand there without a click."""
    page.goto(address)
    page.locator(".ag-center-cols-container .ag-row").first.wait_for()
    rows = page.locator(".ag-pinned-left-cols-container .ag-row[row-index='0'], .ag-center-cols-container .ag-row[row-index='0']")
    text = " ".join(rows.all_inner_texts())
    name = page.locator(".ag-row[row-index='0'] a").first.inner_text()
    verdict = re.search(r"(better|worse|within noise|reference|all the same)[^\n]*", text)
    return {"best": name, "verdict": verdict[0] if verdict else ""}


def close_assistant(page: Page) -> None:
    """The panel that MLflow opens once in each browser."""
    button = page.locator("[data-component-id='mlflow.assistant.chat_panel.close']")
    if button.count():
        button.click()
        page.wait_for_timeout(500)


def excerpts(page: Page, address: str, out: Path) -> int:
    """From the page of a prompt's version to recorded and simulated levels of the unit that is explained worst; the clicks it takes."""
    experiment = re.search(r"experiments/(\d+)", address)
    assert experiment
    page.goto(f"{address.partition('#')[0]}#/experiments/{experiment[1]}/prompts/neurogloss.vocabulary")
    page.locator("label", has_text="Traces").last.click()
    page.locator("[data-component-id='mlflow.evaluations_review.table_ui.evaluation_id_link']").first.wait_for()
    page.wait_for_timeout(1000)
    page.screenshot(path=out / "mlflow-prompt.png")
    page.locator("[data-component-id='mlflow.evaluations_review.table_ui.evaluation_id_link']").first.click()
    page.get_by_text("simulate", exact=True).first.click()
    page.get_by_text("simulated:").first.wait_for()
    page.screenshot(path=out / "mlflow-excerpts.png")
    return 3


@contextmanager
def served(folder: Path, environment: dict[str, str] | None) -> Iterator[str]:
    """The address that `neurogloss ui` prints."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "neurogloss.cli.main", "ui", "--no-browser", "--port", str(port)]
    server = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert server.stdout
        lines = (line for line in server.stdout if "best first" in line)
        line = next(lines, "")
        assert line, "neurogloss ui ended without an address"
        yield line.split()[-1]
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(timeout=60)
        if server.stdout:
            server.stdout.close()


if __name__ == "__main__":
    main()
