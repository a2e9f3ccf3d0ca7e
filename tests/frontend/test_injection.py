"""Sixty texts that want to be scripts, planted wherever a text is kept, opened on every page: all of them stay text."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page

from saescope.home import new_id
from saescope.records import Label
from saescope.store import catalogue, jobs
from saescope.store.labels import add_labels
from saescope.store.marks import write_note
from saescope.studio import Studio
from support.browser import Site, Visit, served, visit
from support.payloads import PAYLOADS
from support.small import small_studio
from support.tiny import tiny_causal_lm, tiny_tokenizer

# What markup in the payloads would have made of them, and whatever points elsewhere; the app itself has none of these.
MADE = """() => {
  const tags = "iframe, object, embed, base, marquee, video, audio, math, image, meta[http-equiv], foreignObject, "
    + "animate, template, img, x, style, [onload], [onerror], [onfocus], [ontoggle], [onclick]";
  const away = [...document.querySelectorAll("[href], [src]")].filter((one) =>
    new URL(one.getAttribute("src") ?? one.getAttribute("href"), location.href).origin !== location.origin);
  return [...document.querySelectorAll(tags), ...away].map((one) => one.outerHTML.slice(0, 200));
}"""


def hostile_model(folder: Path) -> Path:
    """The tiny model, with every payload as a token of its own."""
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens(PAYLOADS)
    tiny_causal_lm(vocab_size=384 + len(PAYLOADS)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def plant(studio: Studio) -> str:
    """Payloads into names, labels, notes, sources, log lines and errors; the id of the job that failed with them."""
    db = studio.db
    model, sae = catalogue.model(db, "tiny"), catalogue.sae(db, "sae")
    extraction, dataset = catalogue.extraction(db, "found"), catalogue.dataset(db, "text")
    add_labels(
        db,
        extraction.id,
        (Label(k, PAYLOADS[k % 60], "llm", PAYLOADS[(k + 9) % 60], PAYLOADS[(k + 7) % 60], 0.5) for k in range(64)),
    )
    for k in range(64):
        write_note(db, extraction.id, k, PAYLOADS[k % 60])
    for k, text in enumerate(PAYLOADS[:12]):  # no command makes such names; a home of unknown origin may hold them
        other = PAYLOADS[k + 12]
        catalogue.add_dataset(db, replace(dataset, id=new_id(), name=text, source=other, text_field=other))
        catalogue.add_model(db, replace(model, id=new_id(), name=text, source=other, family=other, dtype=other))
        catalogue.add_sae(db, replace(sae, id=new_id(), name=text, source=other, hookpoint=other, kind=other))
        catalogue.add_extraction(db, replace(extraction, id=new_id(), name=text, sae=text, hookpoint=other))
    failed = ""
    for k, text in enumerate(PAYLOADS):
        jobs.add(db, "add_dataset", text, {"name": text, "source": text, text: text})
        mine = jobs.claim(db, "device", "somebody")
        assert mine is not None
        jobs.beat(db, mine, {"phase": text, "done": 1, "total": 2, "unit": text, "note": text})
        for line in PAYLOADS:
            jobs.say(db, mine, line)
        error = {"kind": text, "message": text, "hint": PAYLOADS[(k + 1) % 60]}
        jobs.end(db, mine, "failed", result={text: text}, error=error)
        failed = mine.id
    return failed


@pytest.fixture(scope="module")
def planted(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, str]]:
    root = tmp_path_factory.mktemp("hostile")
    with (root / "documents.jsonl").open("w") as file:
        for k in range(240):
            text = (
                f"{PAYLOADS[k % 60]} the people of {PAYLOADS[(k * 7 + 3) % 60]} this nation {PAYLOADS[(k + 30) % 60]}"
            )
            file.write(json.dumps({"text": text}) + "\n")
    studio = small_studio(root, str(root / "documents.jsonl"), hostile_model(root / "model"))
    failed = plant(studio)
    studio.close()
    with served(root / "home") as site:
        yield site, failed


@pytest.fixture
def hostile(browser: Browser, planted: tuple[Site, str]) -> Iterator[Visit]:
    """A browser in which `ran()` is a fault."""
    refused = ("the server responded with a status of",)  # of names that nothing belongs to
    with visit(browser, planted[0], allowed=refused) as seen:
        seen.context.add_init_script("window.ran = () => console.error('a payload ran');")
        seen.open("/")
        yield seen


def stays_text(seen: Visit, least: int = 1) -> None:
    """Nothing ran, nothing was made, nothing was asked for; and payloads are really to be read there."""
    assert seen.page.evaluate(MADE) == [], seen.page.url
    assert seen.faults == [], seen.page.url
    shown = everything_written(seen.page)
    assert shown.count("ran()") + shown.count("evil.invalid") >= least, seen.page.url


def everything_written(page: Page) -> str:
    fields = page.evaluate("() => [...document.querySelectorAll('textarea, input')].map((one) => one.value).join(' ')")
    return page.locator("body").inner_text() + fields


def test_what_ran_or_left_would_be_noticed(hostile: Visit) -> None:
    page = hostile.page
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=https://evil.invalid/p.png onerror=ran()>')")
    page.wait_for_timeout(300)
    assert page.evaluate(MADE) != []
    assert any("CSP" in fault for fault in hostile.faults)
    page.evaluate("ran()")
    assert any("a payload ran" in fault for fault in hostile.faults)


@pytest.mark.parametrize(
    "path", ["/", "/features/found", "/datasets", "/datasets/text", "/models", "/saes", "/extract", "/jobs"]
)
def test_pages_of_things_keep_it_text(hostile: Visit, path: str) -> None:
    hostile.open(path)
    stays_text(hostile)


def test_every_feature_keeps_its_label_note_tokens_and_history_text(hostile: Visit) -> None:
    hostile.open("/features/found/0?w=full")
    page = hostile.page
    page.locator(".head h2").wait_for()  # keys mean something once the feature is there
    history = page.get_by_role("list", name="Labels, newest first")
    page.keyboard.press("h")
    for index in range(60):
        page.get_by_role("heading", level=1, name=str(index), exact=True).wait_for()
        page.locator(".head .idx").get_by_text(str(index), exact=True).wait_for()
        assert page.locator(".head h2").inner_text().strip()
        assert page.get_by_label("Note").input_value() == PAYLOADS[index]
        if index % 10 == 0:
            if not history.is_visible():  # another feature's page begins with it closed
                page.keyboard.press("h")
            page.wait_for_timeout(300)
            stays_text(hostile, 1)
        page.keyboard.press("j")
    stays_text(hostile, 1)


def test_a_failed_job_keeps_its_name_log_and_error_text(hostile: Visit, planted: tuple[Site, str]) -> None:
    hostile.open(f"/jobs/{planted[1]}")
    hostile.page.locator("summary").click()
    stays_text(hostile, 60)


@pytest.mark.parametrize("kind", ["datasets", "models", "saes", "features"])
def test_things_of_hostile_names_open(hostile: Visit, kind: str) -> None:
    for name in PAYLOADS[:12]:
        hostile.open(f"/{kind}/{quote(name, safe='')}")
        stays_text(hostile)


@pytest.mark.parametrize(
    "address",
    [
        "/features/found?q={}", "/features/found?where={}", "/features/found?sort={}", "/features/found?brush={}",
        "/features/{}", "/features/found/{}", "/fire/found?text={}", "/steer/found?edits=1:add:1&prompt={}",
        "/train?name={}", "/extract?name={}", "/datasets?add=1&name={}", "/saes/{}", "/jobs/{}", "/{}",
    ],
)  # fmt: skip
def test_addresses_of_payloads_stay_text(hostile: Visit, address: str) -> None:
    for text in PAYLOADS[::6]:
        hostile.open(address.format(quote(text, safe="")))
        stays_text(hostile, 0)


def test_fired_and_steered_tokens_stay_text(hostile: Visit) -> None:
    text = quote(" ".join(PAYLOADS)[:1900], safe="")
    hostile.open(f"/fire/found?text={text}&bos=1&dense=0")
    hostile.page.locator("#tok-20").wait_for(timeout=30_000)
    stays_text(hostile, 20)
    prompt = quote(" ".join(PAYLOADS)[:100], safe="")  # the model's context is short
    hostile.open(f"/steer/found?edits=3:add:2&n=24&t=1&prompt={prompt}")
    hostile.page.get_by_role("button", name="Run").click()
    hostile.page.get_by_role("button", name="Pin").wait_for(timeout=60_000)
    assert "evil.invalid" in hostile.page.get_by_role("region", name="Steered").inner_text()  # a token of the model's
    stays_text(hostile, 0)


def test_the_palette_the_keys_and_the_errors_of_forms_stay_text(hostile: Visit) -> None:
    page = hostile.page
    for text in PAYLOADS[::5]:
        page.keyboard.press("Control+k")
        page.get_by_role("combobox").fill(text)
        page.wait_for_timeout(150)
        stays_text(hostile)
        page.keyboard.press("Escape")
    hostile.open("/train?add=1&d_sae=" + quote(PAYLOADS[0]) + "&tokens=" + quote(PAYLOADS[9]))
    stays_text(hostile)
    hostile.open("/datasets?add=1&name=x&source=" + quote(PAYLOADS[9]))
    page.keyboard.press("Control+Enter")
    page.wait_for_timeout(500)
    stays_text(hostile)
    hostile.open("/features/found")
    page.keyboard.press("f")
    page.get_by_label("Filter", exact=True).fill(PAYLOADS[9])
    page.keyboard.press("Enter")
    page.get_by_role("alert").wait_for()
    stays_text(hostile)
