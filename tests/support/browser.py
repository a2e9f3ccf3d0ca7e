"""A home served as `saescope serve` serves it, and a Chromium that notes what a page should not do."""

import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Page, Request, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

REPORT_VIOLATIONS = """document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`CSP: ${event.violatedDirective} refused ${event.blockedURI || "inline"} ${event.sample}`));"""


@dataclass(frozen=True)
class Site:
    """Where a served home answers, and the address that lets a browser in."""

    address: str
    door: str


@contextmanager
def served(home: Path, program: tuple[str, ...] = (), environment: dict[str, str] | None = None) -> Iterator[Site]:
    """`saescope serve` over a home, as a process of its own, until the block ends.

    program: how the command is started, by default from here; environment: by default ours, with one thread.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [*(program or (sys.executable, "-m", "saescope")), "--home", str(home), "serve", "--port", str(port)]
    process = subprocess.Popen(
        words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment or _environment()
    )
    assert process.stderr
    said: list[str] = []
    try:
        for line in process.stderr:
            said.append(line)
            if found := re.search(r"http://\S+token=\S+", line):
                break
        else:
            raise AssertionError("the server did not start:\n" + "".join(said))
        drain = threading.Thread(target=said.extend, args=(process.stderr,), daemon=True)
        drain.start()
        _until_it_listens(port)
        yield Site(f"http://127.0.0.1:{port}", found[0])
    finally:
        process.terminate()
        process.wait(20)
        process.stderr.close()


def _environment() -> dict[str, str]:
    threads = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    return {name: value for name, value in os.environ.items() if name != "SAESCOPE_DATABASE_URL"} | threads


def _until_it_listens(port: int) -> None:
    pause = threading.Event()
    for _ in range(600):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        pause.wait(0.05)
    raise AssertionError("the server does not listen")


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, without a window."""
    flags = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


@dataclass
class Visit:
    """A page of a browser that was let in, and every fault seen on it."""

    context: BrowserContext
    page: Page
    site: Site
    faults: list[str] = field(default_factory=list)

    def open(self, path: str) -> None:
        """Go to an address of the app and wait until nothing is fetched any more."""
        self.page.goto(self.site.address + path)
        self.page.locator("h1").first.wait_for()
        self.page.wait_for_load_state("networkidle")


@contextmanager
def visit(browser: Browser, site: Site, *, allowed: tuple[str, ...] = (), **options: object) -> Iterator[Visit]:
    """Let a new browser in, and note scripts' errors, refusals of the policy and requests to elsewhere.

    `allowed`: parts of console messages that are no fault, such as the status of a refused request.
    """
    defaults: dict[str, object] = {"viewport": {"width": 1440, "height": 900}, "accept_downloads": True}
    context = browser.new_context(**(defaults | options))  # type: ignore[arg-type]
    context.set_default_timeout(15_000)
    context.add_init_script(REPORT_VIOLATIONS)
    page = context.new_page()
    seen = Visit(context, page, site)
    host = urlsplit(site.address).netloc

    def console(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not any(part in message.text for part in allowed):
            seen.faults.append(f"{message.type}: {message.text} at {page.url}")

    def request(asked: Request) -> None:
        parts = urlsplit(asked.url)
        if parts.scheme not in ("data", "blob") and parts.netloc != host:
            seen.faults.append(f"a request to {asked.url} from {page.url}")

    def dialog(opened: Dialog) -> None:
        seen.faults.append(f"a dialog: {opened.message}")
        opened.dismiss()

    page.on("console", console)
    page.on("pageerror", lambda error: seen.faults.append(f"script error: {error} at {page.url}"))
    page.on("dialog", dialog)
    context.on("request", request)
    page.goto(site.door)
    yield seen
    context.close()
