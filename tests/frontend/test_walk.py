"""From the first visit to a steered text and an exported list, as a person does it: by pointer, and by keys alone."""

import json
import re
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from support.browser import Visit, served, visit


def test_a_first_visit_shows_the_demo_and_the_ways_in(browser: Browser, tmp_path: Path) -> None:
    with served(tmp_path / "empty") as site, visit(browser, site) as seen:
        page = seen.page
        expect(page.get_by_role("heading", name="Read a language model through its features")).to_be_visible()
        expect(page.get_by_role("button", name="Run the demo")).to_be_visible()
        for link, address in (("Add a dataset", "/datasets"), ("Add a model", "/models"), ("Train an SAE", "/train")):
            expect(page.get_by_role("main").get_by_role("link", name=link).first).to_have_attribute(
                "href", re.compile(f"^{address}")
            )
        assert seen.faults == []


def test_a_walk_by_pointer(visited: Visit) -> None:
    page = visited.page
    expect(page.get_by_role("heading", name="Home", exact=True)).to_be_visible()
    page.get_by_role("main").get_by_role("link", name="found").first.click()
    expect(page.get_by_role("grid", name="Features")).to_be_visible()

    page.get_by_role("columnheader", name="Max").get_by_role("button").click()
    expect(page).to_have_url(re.compile("sort=-max"))
    page.get_by_role("button", name="Filter", exact=True).click()
    page.get_by_label("Filter", exact=True).fill("density<50%")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.locator(".chip")).to_have_count(1)
    page.get_by_role("row").nth(2).get_by_role("gridcell").nth(2).click()
    expect(page).to_have_url(re.compile(r"/features/found/\d+\?"))

    page.get_by_role("button", name="Edit", exact=False).first.click()
    page.get_by_role("textbox", name=re.compile("Label of feature")).fill("words about the nation")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="words about the nation")).to_be_visible()
    expect(page.locator(".who")).to_contain_text("written by you")

    page.get_by_role("button", name="Try your text").click()
    page.get_by_role("textbox", name="Your text").fill("The people of the United States work in peace.")
    expect(page.locator(".try").get_by_text(re.compile("strongest|not active"))).to_be_visible(timeout=30_000)

    page.get_by_role("button", name="Steer", exact=True).click()
    expect(page).to_have_url(re.compile("/steer/found"))
    amount = page.get_by_label("Amount", exact=True)
    amount.fill("3")
    page.get_by_label("New tokens").fill("8")
    page.get_by_role("button", name="Run").click()
    steered = page.get_by_role("region", name="Steered")
    expect(steered.locator(".tok")).to_have_count(8, timeout=30_000)
    expect(page.get_by_role("region", name="Original").locator(".tok")).to_have_count(8)

    start_an_extraction(page)
    cancel_and_resume(page)
    export(page)


def start_an_extraction(page: Page) -> None:
    page.get_by_role("link", name="Extract", exact=True).click()
    page.get_by_label("dataset", exact=True).select_option("long")
    page.get_by_role("button", name="64", exact=True).click()
    page.get_by_label("context", exact=True).fill("32")
    page.get_by_role("button", name=re.compile("More")).click()
    page.get_by_label("name", exact=True).fill("walked")
    page.get_by_role("button", name="Start").click()
    expect(page.get_by_role("heading", name="Extract walked")).to_be_visible()


def cancel_and_resume(page: Page) -> None:
    status = page.locator(".status").first
    expect(status).to_have_attribute("data-state", "running", timeout=30_000)
    expect(page.locator(".job .bignum")).to_have_text(re.compile(r"[1-9]\d? %"), timeout=30_000)
    expect(page.locator(".figures").get_by_text("batch size").locator("..")).to_contain_text("64")
    page.get_by_role("button", name="Cancel", exact=True).click()
    page.get_by_role("button", name="Cancel the job").click()
    expect(status).to_have_attribute("data-state", "cancelled", timeout=30_000)
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("link", name="Open features of walked")).to_be_visible(timeout=60_000)
    expect(page.locator(".figures").get_by_text("attempt").locator("..")).to_contain_text("2")
    page.get_by_role("link", name="Open features of walked").click()
    expect(page).to_have_url(re.compile("/features/walked"))


def export(page: Page) -> None:
    page.goto(page.url.split("/features")[0] + "/features/walked?where=index<9&sort=-index")
    expect(page.locator(".count")).to_contain_text("9 of 64")
    page.get_by_role("button", name="Export").click()
    with page.expect_download() as got:
        page.get_by_role("menuitem", name="JSON lines").click()
    lines = Path(got.value.path()).read_text().splitlines()
    assert [json.loads(line)["index"] for line in lines] == list(range(8, -1, -1))


NAME_OF_FOCUSED = """() => {
  const one = document.activeElement;
  return (one?.getAttribute("aria-label") || one?.labels?.[0]?.innerText || one?.innerText || "").trim();
}"""


def tab_to(page: Page, name: str) -> None:
    """Press Tab until what has the focus is called that."""
    for _ in range(90):
        page.keyboard.press("Tab")
        if re.match(name, page.evaluate(NAME_OF_FOCUSED)):
            return
    raise AssertionError(f"Tab never comes to {name}")


def type_over(page: Page, text: str) -> None:
    page.keyboard.press("Control+a")
    page.keyboard.type(text)


def test_the_same_walk_by_keys_alone(visited: Visit) -> None:
    page, keys = visited.page, visited.page.keyboard
    expect(page.get_by_role("heading", name="Home", exact=True)).to_be_visible()
    keys.press("g")
    keys.press("f")
    expect(page.get_by_role("grid", name="Features")).to_be_visible()
    expect(page.locator(".count")).to_contain_text("64")

    tab_to(page, "Max")
    keys.press("Enter")
    expect(page).to_have_url(re.compile("sort=-max"))
    keys.press("f")
    keys.type("density<50%")
    keys.press("Enter")
    expect(page.locator(".chip")).to_have_count(1)
    expect(page.get_by_label("Filter", exact=True)).to_have_count(0)
    keys.press("j")
    keys.press("j")
    expect(page.locator("#row-2")).to_have_attribute("aria-selected", "true")
    keys.press("Escape")
    tab_to(page, "Features$")
    keys.press("Enter")
    expect(page).to_have_url(re.compile(r"/features/\w+/\d+\?"))

    expect(page.get_by_role("button", name="Edit").first).to_be_visible()
    keys.press("e")
    expect(page.get_by_role("textbox", name=re.compile("Label of feature"))).to_be_focused()
    type_over(page, "words by keys")
    keys.press("Enter")
    expect(page.get_by_role("heading", name="words by keys")).to_be_focused()
    keys.press("h")
    expect(page.get_by_role("list", name="Labels, newest first").get_by_role("listitem").first).to_contain_text(
        "words by keys"
    )
    keys.press("Escape")
    keys.press("t")
    expect(page.get_by_role("textbox", name="Your text")).to_be_focused()
    type_over(page, "The people of the United States work in peace.")
    expect(page.locator(".try").get_by_text(re.compile("strongest|not active"))).to_be_visible(timeout=30_000)
    keys.press("Escape")

    keys.press("x")
    expect(page).to_have_url(re.compile("/steer/"))
    expect(page.get_by_label("Amount", exact=True)).to_be_visible()
    tab_to(page, "Amount$")
    type_over(page, "2")
    tab_to(page, "New tokens")
    type_over(page, "6")
    keys.press("Control+Enter")
    expect(page.get_by_role("region", name="Steered").locator(".tok")).to_have_count(6, timeout=30_000)
    keys.press("Escape")

    keys.press("g")
    keys.press("e")
    expect(page.get_by_role("heading", name="Extract")).to_be_visible()
    expect(page.get_by_label("dataset", exact=True)).to_have_value("long")
    tab_to(page, "64$")
    keys.press("Space")
    tab_to(page, "context")
    type_over(page, "32")
    tab_to(page, "More")
    keys.press("Enter")
    tab_to(page, "name")
    type_over(page, "typed")
    keys.press("Control+Enter")
    expect(page.get_by_role("heading", name="Extract typed")).to_be_visible()
    status = page.locator(".status").first
    expect(page.locator(".job .bignum")).to_have_text(re.compile(r"[1-9]\d? %"), timeout=30_000)
    keys.press("c")
    expect(status).to_have_attribute("data-state", "cancelled", timeout=30_000)
    keys.press("r")
    expect(status).to_have_attribute("data-state", "done", timeout=60_000)
    keys.press("Enter")
    expect(page).to_have_url(re.compile("/features/typed"))

    expect(page.locator(".count")).to_contain_text("64")
    keys.press("f")
    keys.type("index<9")
    keys.press("Enter")
    expect(page.locator(".count")).to_contain_text("9 of 64")
    tab_to(page, "Export")
    keys.press("Enter")
    expect(page.get_by_role("menuitem", name="JSON lines")).to_be_visible()
    keys.type("J")
    with page.expect_download() as got:
        keys.press("Enter")
    assert len(Path(got.value.path()).read_text().splitlines()) == 9
