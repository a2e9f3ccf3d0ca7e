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
        expect(page.get_by_role("button", name=re.compile("demo"))).to_be_visible()
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
