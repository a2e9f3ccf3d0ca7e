"""Labels anew in the browser: by rule and by an LLM, what it would cost before it starts, two writers side by side."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from support.browser import Site, Visit, visit
from support.llm_server import LlmServer, llm_server


@pytest.fixture(scope="module")
def server() -> Iterator[LlmServer]:
    with llm_server() as started:
        yield started


@pytest.fixture
def seen(browser: Browser, site: Site) -> Iterator[Visit]:
    with visit(browser, site, allowed=("status of 400",)) as started:  # an estimate of what cannot be asked
        yield started
        assert started.faults == []


def window(page: Page) -> Locator:
    """The form for new labels."""
    return page.get_by_role("dialog", name=re.compile("^Label"))


def ask_llm(form: Locator, server: LlmServer) -> None:
    """Choose an LLM without a key, by its address."""
    form.get_by_label("explainer", exact=True).select_option("llm")
    form.get_by_label("llm url", exact=True).fill(server.url)
    form.get_by_label("llm model", exact=True).fill("scripted")


def estimated(form: Locator, name: str) -> Locator:
    """One figure of the estimate."""
    return form.locator("dt", has_text=re.compile(f"^{name}$")).locator("+ dd")


def test_one_feature_is_labelled_anew_and_two_explainers_stand_side_by_side(seen: Visit, server: LlmServer) -> None:
    page = seen.page
    seen.open("/features/found/3")
    page.get_by_role("button", name="Label anew").click()
    form = window(page)
    expect(form.get_by_text("no LLM is asked")).to_be_visible()
    ask_llm(form, server)
    expect(estimated(form, "calls")).to_have_text(re.compile(r"^\d"), timeout=30_000)
    expect(estimated(form, "tokens")).to_have_text(re.compile(r"^[\d,]+ in, [\d,]+ out; at most"))
    expect(estimated(form, "money")).to_have_text("prices not known")
    asked = server.counts["answered"]
    form.get_by_label("budget", exact=True).fill("2 calls")
    expect(estimated(form, "budget")).to_contain_text("it will stop there", timeout=30_000)
    form.get_by_label("budget", exact=True).fill("500 calls")
    expect(estimated(form, "budget")).to_contain_text("enough", timeout=30_000)
    assert server.counts["answered"] == asked == 0
    form.get_by_role("button", name="Label it").click()
    expect(form).to_have_count(0)
    expect(page.locator(".labelling .status")).to_have_attribute("data-state", "done", timeout=60_000)
    expect(page.locator(".labelling")).to_contain_text("1 label written")
    page.get_by_role("button", name="Put away").click()
    expect(page.locator(".labelling")).to_have_count(0)

    page.keyboard.press("h")
    history = page.get_by_role("list", name="Labels, newest first")
    expect(history).to_contain_text("scripted")
    beside = page.get_by_role("table", name="Two explainers side by side")
    beside.get_by_label("Labels on the left by").select_option("lexical")
    beside.get_by_label("Labels on the right by").select_option("llm:scripted")
    expect(page).to_have_url(re.compile(r"a=lexical&b=llm:scripted"))
    texts = beside.locator("bdi")
    expect(texts).to_have_count(2)
    expect(texts.nth(1)).to_have_text(re.compile("^the word "))
    expect(beside.get_by_role("rowgroup").filter(has_text="detection")).to_contain_text(
        re.compile(r"\d\.\d\d–\d\.\d\d, n \d+.*chance 0\.50")
    )
    page.keyboard.press("j")  # the same two writers of the next feature
    expect(page).to_have_url(re.compile(r"/features/found/4\?.*a=lexical&b=llm:scripted"))
    expect(page.get_by_text("can be compared here once there are two")).to_be_visible()


def test_the_filtered_set_is_labelled_within_a_budget(seen: Visit, server: LlmServer) -> None:
    page = seen.page
    seen.open("/features/found?where=index>9 and index<16 and not dead")
    page.get_by_role("button", name=re.compile(r"^Label \d")).click()
    form = window(page)
    ask_llm(form, server)
    expect(estimated(form, "features")).to_have_text("6", timeout=30_000)
    form.get_by_label("budget", exact=True).fill("nonsense")
    expect(form.get_by_role("alert").first).to_contain_text("budget")
    for score in ("detection", "fuzzing"):
        form.get_by_role("checkbox", name=score).uncheck()
    form.get_by_label("budget", exact=True).fill("4 calls")
    expect(estimated(form, "budget")).to_contain_text("it will stop there", timeout=30_000)
    form.get_by_role("button", name="Label 6").click()
    line = page.locator(".labelling").first
    expect(line.locator(".status")).to_have_attribute("data-state", "done", timeout=60_000)
    expect(line).to_contain_text(re.compile(r"4 labels written; .*budget of 4 calls"))
    seen.open("/features/found?where=label_source~lexical and index>9&cols=index,label,writer")  # the better ones
    expect(page.get_by_role("row").nth(1)).to_contain_text("lexical")
    seen.open("/features/found/10?h=1")
    expect(page.get_by_role("list", name="Labels, newest first")).to_contain_text("scripted")


def test_features_are_sorted_by_what_a_score_is_at_least(seen: Visit) -> None:
    page = seen.page
    seen.open("/features/found")
    page.get_by_role("columnheader", name="Score").get_by_role("button").click()
    expect(page).to_have_url(re.compile("sort=-detection_low"))
    cells = page.locator("[role=row]:not(.head) [role=gridcell]:last-child")
    expect(cells.first).to_contain_text("≥")
    least = [float(text.split("≥")[1]) for text in cells.all_inner_texts() if "≥" in text]
    assert least == sorted(least, reverse=True)
