from collections.abc import Callable
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from tests.viewer.conftest import ready


def findings(page: Page) -> list[str]:
    """What axe-core objects to on the page as it stands, with the first element it is about."""
    found = Axe().run(page).response["violations"]
    return [f"{one['impact']} {one['id']}: {one['nodes'][0]['target']} {one['nodes'][0]['failureSummary']}" for one in found]


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_axe_finds_nothing_on_any_page(browser: Browser, model_view: str, scheme: str, width: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    ready(page, model_view)
    found = {"overview": findings(page)}
    page.goto(f"{model_view}#/neuron/L0.N0")
    page.get_by_role("heading", name="Downstream neurons").wait_for()
    for mode in ("Real above simulated", "Overlay", "Difference"):
        page.get_by_role("button", name=mode).click()
        found[mode] = findings(page)
    page.goto(f"{model_view}#/neuron/L9.N9")
    page.get_by_role("heading", name="No such neuron").wait_for()
    found["unknown"] = findings(page)
    page.goto(f"{model_view}#/text")
    page.get_by_role("button", name="Run").click()
    page.locator("button.token").first.wait_for()
    found["text"] = findings(page)
    context.close()
    assert not any(found.values()), {name: seen for name, seen in found.items() if seen}


def test_axe_finds_nothing_in_a_site_without_the_model(
    page: Page, small_site: Path, heads_site: Path, plain_server: Callable[[Path], str]
) -> None:
    address = plain_server(small_site)
    for fragment in ("#/neuron/L0.N15", "#/text"):
        ready(page, address + fragment)
        assert findings(page) == []
    ready(page, plain_server(heads_site) + "#/neuron/L0.H0")
    assert findings(page) == []
