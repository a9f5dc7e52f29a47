import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from neurogloss.viewer.report import NEURONS, report, write_report
from neurogloss.viewer.result import open_result
from tests.viewer.conftest import ready
from tests.viewer.made_up import HOSTILE, small


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A result with more neurons than a report shows, and hostile text."""
    return small(tmp_path_factory.mktemp("many"), hostile=True, layers=6, per_layer=10)


def test_a_report_is_one_file_with_a_policy_of_hashes(many: Path, tmp_path: Path) -> None:
    write_report(tmp_path / "report.html", many)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"<(script|link|img)[^>]*(src|href)=", page)
    assert "script-src &#x27;sha256-" in page
    assert "unsafe" not in page
    assert page == report(open_result(many))


def test_a_report_shows_a_few_dozen_neurons_of_all(page: Page, many: Path, tmp_path: Path) -> None:
    write_report(tmp_path / "report.html", many)
    address = (tmp_path / "report.html").as_uri()
    ready(page, address)
    expect(page.locator("h1")).to_contain_text(HOSTILE[0])
    expect(page.get_by_role("status")).to_have_text(f"{NEURONS} neurons")
    expect(page.locator(".notice")).to_contain_text("The numbers are of all 60 neurons")
    page.locator(".neurons a").first.click()
    expect(page.locator(".excerpt").first).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".excerpt").first).to_be_visible()
    page.goto(f"{address}#/text")
    expect(page.locator(".notice")).to_contain_text("neurogloss view")


def test_a_report_works_in_the_sandbox_of_an_artifact_pane(
    page: Page, many: Path, tmp_path: Path, plain_server: Callable[[Path], str]
) -> None:
    """MLflow shows HTML from a blob in a frame that may run scripts and nothing else."""
    write_report(tmp_path / "report.html", many)
    (tmp_path / "pane.html").write_text('<!doctype html><title>pane</title><link rel="icon" href="data:,">', encoding="utf-8")
    page.goto(f"{plain_server(tmp_path)}pane.html")
    page.evaluate("""async () => {
        const text = await (await fetch("report.html")).text();
        const frame = document.createElement("iframe");
        frame.setAttribute("sandbox", "allow-scripts");
        frame.style = "width: 1200px; height: 800px";
        frame.src = URL.createObjectURL(new Blob([text], { type: "text/html" }));
        document.body.append(frame);
    }""")
    frame = page.frame_locator("iframe")
    expect(frame.get_by_role("status")).to_have_text(f"{NEURONS} neurons")
    frame.get_by_label("Search explanations").fill("script")
    expect(frame.get_by_role("status")).to_contain_text(f"of {NEURONS} neurons")
    frame.get_by_label("Go to neuron").fill("L0.N0")
    frame.get_by_label("Go to neuron").press("Enter")
    expect(frame.get_by_role("heading", level=1)).to_contain_text("L0.N0")
    frame.get_by_role("button", name="Dark colours").click()
    frame.get_by_role("link", name="Next neuron").click()
    expect(frame.get_by_role("heading", level=1)).to_contain_text("L0.N3")
    page.keyboard.press("ArrowRight")
    expect(frame.get_by_role("heading", level=1)).to_contain_text("L0.N6")
