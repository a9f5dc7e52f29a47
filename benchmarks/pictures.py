"""Take the README's pictures: two of the viewer, from the result in this folder, and with --mlflow two of MLflow, from the runs in it.

python -m benchmarks.pictures [--result FOLDER] [--neuron L21.N1172] [--mlflow]
"""

import argparse
import io
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from benchmarks.newcomer import walk
from benchmarks.viewer import chromium, viewed
from tests.viewer.conftest import ARGUMENTS

OUT = Path("metrics/pictures")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--result", type=Path, default=Path())
    parser.add_argument("--neuron", default="L21.N1172")
    parser.add_argument("--mlflow", action="store_true")
    chosen = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    with viewed(chosen.result) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1180, "height": 860}, device_scale_factor=1.5, color_scheme="light")
        page.goto(address)
        page.locator(".rows .row").first.wait_for()
        take(page, "overview")
        page.evaluate(f"location.hash = '#/neuron/{chosen.neuron}'")
        page.locator(".excerpt .t").first.wait_for()
        page.locator(".excerpt").first.locator(".line.simulated .t[style*='--v: 1.0'], .line.simulated .t[style*='--v: 0.9']").first.hover()
        take(page, "neuron")
        browser.close()
    if chosen.mlflow:
        of_mlflow(chosen.result)


def of_mlflow(folder: Path) -> None:
    """The runs with the best first, and the excerpts behind a prompt's version."""
    with tempfile.TemporaryDirectory() as name:
        walk(folder, Path(name), None)
        for shown in ("runs", "excerpts"):
            save(Image.open(Path(name) / f"mlflow-{shown}.png"), f"mlflow-{shown}")


def take(page: Page, name: str) -> None:
    """What is on the screen, in 256 colours, which a page of flat colours does with."""
    page.wait_for_timeout(500)
    save(Image.open(io.BytesIO(page.screenshot())), f"viewer-{name}")


def save(picture: Image.Image, name: str) -> None:
    """Write it."""
    few = picture.convert("RGB").quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    few.save(OUT / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
