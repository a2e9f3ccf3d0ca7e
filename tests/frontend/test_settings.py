"""LLM servers in Settings: added, tested, removed; a key goes in and is never seen again."""

import re

from playwright.sync_api import Browser, Request, expect

from support.browser import Site, visit

KEY = "sk-a-key-that-nobody-may-see-0123456789"


def test_a_key_goes_in_and_never_comes_out(browser: Browser, site: Site) -> None:
    answers: list[str] = []

    def keep(request: Request) -> None:
        response = request.response()
        if response is not None and "/api/" in request.url and "events" not in request.url:
            answers.append(response.text())

    with visit(browser, site, allowed=("status of 4", "status of 5")) as seen:
        page = seen.page
        page.on("requestfinished", keep)
        seen.open("/settings")
        page.get_by_role("button", name="Add a server").click()
        form = page.get_by_role("form", name="Add a server")
        for name, text in (("name", "mine"), ("address", "http://127.0.0.1:9/v1"), ("model", "small")):
            form.get_by_label(name, exact=True).fill(text)
        secret = form.get_by_label("key", exact=True)
        expect(secret).to_have_attribute("type", "password")
        secret.fill(KEY)
        form.get_by_role("button", name="Add it").click()
        row = page.get_by_role("table", name="LLM endpoints").get_by_role("row").filter(has_text="mine")
        expect(row).to_contain_text("in a file of the home")
        row.get_by_role("button", name="Test").click()
        expect(page.locator(".said")).to_contain_text(re.compile("."), timeout=60_000)
        stored = page.evaluate("() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, location.href])")
        assert KEY not in page.content() + stored + "".join(answers)
        assert any('"mine"' in answer for answer in answers)
        row.get_by_role("button", name="Remove").click()
        page.get_by_role("alertdialog").or_(page.get_by_role("dialog")).get_by_role("button", name="Remove").click()
        expect(row).to_have_count(0)
        assert seen.faults == []
