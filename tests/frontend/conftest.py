"""The built app in Chromium, over a small home that a real server and a real worker serve."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

import saescope
from saescope.jobs.supervisor import web_is_built
from support.browser import CHROMIUM, Site, Visit, chromium, served, visit
from support.small import small_studio


@pytest.fixture(scope="session")
def app() -> None:
    """Skips what follows where there is no app, or nothing to open it in."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium (on Debian: apt install chromium)")
    if not web_is_built():
        pytest.skip("the web app is not built (make web)")


@pytest.fixture(scope="module")
def browser(app: None) -> Iterator[Browser]:
    """Of one module: Playwright's event loop runs in our thread until it is closed, in the way of tests elsewhere."""
    with chromium() as started:
        yield started


@pytest.fixture(scope="session")
def home(app: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small home, and a dataset `long` that takes some seconds to extract."""
    root = tmp_path_factory.mktemp("web")
    studio = small_studio(root)
    lines = "".join(path.read_text().replace('"', "") + "\n" for path in sorted((root / "text").glob("*.txt")))
    (root / "long.txt").write_text(lines * 40)
    studio.run(saescope.AddDataset(name="long", source=str(root / "long.txt")))
    studio.close()
    return root / "home"


@pytest.fixture(scope="session")
def site(home: Path) -> Iterator[Site]:
    with served(home) as started:
        yield started


@pytest.fixture
def visited(browser: Browser, site: Site) -> Iterator[Visit]:
    """A browser at the small home; afterwards, that nothing went wrong on its pages."""
    with visit(browser, site) as seen:
        yield seen
        assert seen.faults == []
