"""axe-core finds no serious fault on any page, in either theme and on a phone."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from support.browser import Site, Visit, visit

AXE = Path(__file__).resolve().parents[2] / "frontend" / "node_modules" / "axe-core" / "axe.min.js"
RUN = """async () => (await axe.run(document, { resultTypes: ["violations"] })).violations
  .filter((one) => one.impact === "serious" || one.impact === "critical")
  .flatMap((one) => one.nodes.map((node) => `${one.id}: ${node.target.join(" ")} ${node.failureSummary}`))"""

PAGES = [
    "/", "/features/found", "/features/found?where=dead and not dead", "/features/found/3",
    "/features/found/3?w=full&l=1", "/features/found/9999", "/fire/found", "/fire/found?text=the+people+of+the+nation",
    "/steer/found", "/steer/found?edits=3:add:1,5:ablate", "/datasets", "/datasets/text", "/datasets?add=1", "/models",
    "/models/tiny", "/models?add=1", "/saes", "/saes/sae", "/saes?add=1", "/train", "/train?d_sae=none", "/extract",
    "/jobs", "/settings", "/nothing-here",
]  # fmt: skip


def faults(seen: Visit) -> list[str]:
    """What axe calls serious or critical in the page as it stands."""
    if not seen.page.evaluate("() => 'axe' in window"):
        seen.page.evaluate(AXE.read_text())
    return seen.page.evaluate(RUN)


@pytest.fixture(params=["dark", "light", "phone"])
def looked(request: pytest.FixtureRequest, browser: Browser, site: Site) -> Iterator[Visit]:
    if not AXE.is_file():
        pytest.skip("axe-core is not there (npm ci in frontend/)")
    phone: dict[str, object] = {"viewport": {"width": 400, "height": 860}, "has_touch": True, "is_mobile": True}
    options = phone if request.param == "phone" else {"color_scheme": request.param}
    with visit(browser, site, allowed=("status of 404", "status of 4"), reduced_motion="reduce", **options) as seen:
        yield seen


def test_no_page_has_a_serious_fault(looked: Visit) -> None:
    found = []
    for path in PAGES:
        looked.open(path)
        found += [f"{path}: {fault}" for fault in faults(looked)]
    looked.open("/jobs")
    looked.page.locator("table.jobs a").first.click()
    looked.page.locator(".figures").wait_for()
    found += [f"a job: {fault}" for fault in faults(looked)]
    assert found == []


@pytest.mark.parametrize("looked", ["dark", "light"], indirect=True)
def test_windows_above_a_page_have_none(looked: Visit) -> None:
    page = looked.page
    looked.open("/features/found/3")
    found = []
    windows = {"Control+k": "[role=combobox]", "?": "[role=dialog]", "h": ".history", "e": ".label-field",
               "t": ".try-field"}  # fmt: skip
    for keys, part in windows.items():
        page.keyboard.press(keys)
        page.locator(part).wait_for()
        page.wait_for_timeout(250)
        found += [f"{keys}: {fault}" for fault in faults(looked)]
        page.keyboard.press("Escape")
        page.keyboard.press("Escape")
    looked.open("/features/found")
    page.keyboard.press("f")
    page.get_by_label("Filter", exact=True).wait_for()
    found += [f"f: {fault}" for fault in faults(looked)]
    assert found == []
