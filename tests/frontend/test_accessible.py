"""axe-core finds no serious fault on any page or window, in either theme and on a phone."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from support.browser import Site, Visit, visit

AXE = Path(__file__).resolve().parents[2] / "frontend" / "node_modules" / "axe-core" / "axe.min.js"
# Guards hand the focus on at once, to the first or the last control of a window: nobody can stay on one.
RUN = """async () =>
  (await axe.run({ exclude: "[data-base-ui-focus-guard]" }, { resultTypes: ["violations"] })).violations
  .filter((one) => one.impact === "serious" || one.impact === "critical")
  .flatMap((one) => one.nodes.map((node) => `${one.id}: ${node.target.join(" ")} ${node.failureSummary}`))"""

WIDER = "() => document.documentElement.scrollWidth > innerWidth + 1"

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
    assert not found, "\n".join(found)


def key(keys: str) -> Callable[[Page], None]:
    return lambda page: page.keyboard.press(keys)


def button(name: str) -> Callable[[Page], None]:
    return lambda page: page.get_by_role("button", name=re.compile(name)).locator("visible=true").first.click()


def llm_form(page: Page) -> None:
    page.keyboard.press("r")
    page.get_by_label("explainer", exact=True).select_option("llm")
    page.get_by_role("button", name=re.compile("^More")).click()


def wrong_filter(page: Page) -> None:
    page.keyboard.press("f")
    page.keyboard.type("nonsense")
    page.keyboard.press("Enter")
    page.get_by_role("alert").wait_for()


def searched(page: Page) -> None:
    page.keyboard.press("Control+k")
    page.keyboard.type("the")


FEATURE, LIST = "/features/found/3", "/features/found"
WINDOWS: dict[str, tuple[str, Callable[[Page], None], str]] = {
    "palette": (FEATURE, searched, "[role=option]"),
    "keys": (FEATURE, key("?"), "[role=dialog]"),
    "labels": (FEATURE, key("h"), ".history"),
    "label": (FEATURE, key("e"), ".label-field"),
    "label anew": (FEATURE, llm_form, "[role=dialog]"),
    "try": (FEATURE, key("t"), ".try-field"),
    "more": (FEATURE, button("^More$"), "[role=menu]"),
    "filter": (LIST, key("f"), ".filterbox"),
    "a wrong filter": (LIST, wrong_filter, ".filterbox .bad"),
    "label a list": (LIST, key("r"), "[role=dialog]"),
    "export": (LIST, button("^Export"), "[role=menu]"),
    "no match": (LIST + "?where=dead and not dead&q=xyz", lambda _: None, ".without"),
    "steer's edits": ("/steer/found?edits=3:add:1", key("a"), "[role=dialog], [role=listbox], [role=combobox]"),
    "remove": ("/datasets/text", button("^Remove"), "[role=alertdialog]"),
    "a server": ("/settings", button("^Add a server"), ".newendpoint"),
    "menu": ("/", button("^(Menu|Extraction)"), "[role=menu], .sheet-rail"),
}
"""Of each window: the page it opens on, how, and a part of it."""


def test_no_window_above_a_page_has_a_serious_fault(looked: Visit) -> None:
    found = []
    for name, (path, act, part) in WINDOWS.items():
        looked.open(path)
        act(looked.page)
        looked.page.locator(part).first.wait_for()
        looked.page.wait_for_timeout(250)
        found += [f"{name}: {fault}" for fault in faults(looked)]
        found += [f"{name}: the page is wider than the window"] * looked.page.evaluate(WIDER)
    assert not found, "\n".join(found)
