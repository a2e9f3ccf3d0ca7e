"""Pictures of every page of the web app, both themes and a phone's width, into docs/img/.

    saescope --home H demo && python docs/make_pictures.py --home H

Serves that home, opens each page in Chromium, waits until nothing is fetched any more, and keeps a PNG of 256 colours.
A home that knows no LLM server is told of one, which nothing is asked of, so that labelling has an estimate to show.
"""

import argparse
import io
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from support.browser import Site, chromium, served  # noqa: E402  # pyright: ignore[reportMissingImports]

OUT = ROOT / "docs" / "img"
LARGEST = 150_000
TEXT = "My fellow citizens, we the people of the United States ask Congress to keep the peace and to reduce the debt."
PROMPT = "My fellow citizens, the state of our Union is"


def fire(page: Page) -> None:
    page.locator("#tok-3").wait_for(timeout=180_000)


def steer(page: Page) -> None:
    page.get_by_role("button", name="Run").click()
    page.get_by_role("button", name="Pin").wait_for(timeout=180_000)


def first_job(page: Page) -> None:
    page.locator("table.jobs a").first.click()
    page.locator(".figures").wait_for()


def curves(page: Page) -> None:
    page.locator(".curve canvas").first.wait_for()


def try_text(page: Page) -> None:
    page.keyboard.press("t")
    page.get_by_role("textbox", name="Your text").fill(TEXT)
    page.locator(".try").get_by_text(re.compile("strongest|not active")).wait_for(timeout=180_000)


def label_anew(page: Page) -> None:
    page.keyboard.press("r")
    page.get_by_label("explainer", exact=True).select_option("llm")
    page.get_by_text(re.compile(r"\d in, \d")).wait_for(timeout=60_000)


def palette(page: Page) -> None:
    page.keyboard.press("Control+k")
    page.get_by_role("combobox").fill("peace")


def keys(page: Page) -> None:
    page.keyboard.press("?")


def nothing(page: Page) -> None:
    pass


Pages = dict[str, tuple[str, Callable[[Page], None]]]
"""Of each picture: the address, and what is done there first."""


def pages(feature: int, extraction: str, sae: str, model: str, dataset: str) -> Pages:
    found = f"/features/{extraction}"
    return {
        "home": ("/", nothing),
        "features": (f"{found}?sort=-detection_low&where=not dead", nothing),
        "feature": (f"{found}/{feature}?sort=-detection_low&where=not dead", try_text),
        "feature-full": (f"{found}/{feature}?w=full&l=1", nothing),
        "label": (f"{found}/{feature}", label_anew),
        "fire": (f"/fire/{extraction}?text={TEXT}", fire),
        "steer": (f"/steer/{extraction}?edits={feature}:add:1&n=64&prompt={PROMPT}", steer),
        "datasets": ("/datasets", nothing),
        "dataset": (f"/datasets/{dataset}", nothing),
        "dataset-add": ("/datasets?add=1", nothing),
        "models": ("/models", nothing),
        "model": (f"/models/{model}", nothing),
        "saes": ("/saes", nothing),
        "sae": (f"/saes/{sae}", nothing),
        "train": ("/train", curves),
        "extract": ("/extract", nothing),
        "jobs": ("/jobs", nothing),
        "job": ("/jobs", first_job),
        "settings": ("/settings", nothing),
        "palette": (found, palette),
        "keys": (f"{found}/{feature}", keys),
    }


# Where the pictures were taken says nothing to a reader.
HIDE_PLACES = r"""(home) => {
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode())
    walk.currentNode.data = walk.currentNode.data
      .replaceAll(home, "~/studio")
      .replace(/\/\S*(?=\/lib\/python[\d.]+\/site-packages)/g, "~/saescope/.venv");
}"""

ADD_SERVER = """async (server) => {
  const headers = { "content-type": "application/json" };
  await fetch("/api/llm", { method: "POST", headers, body: JSON.stringify(server) });
}"""

LOOKS = {
    "dark": {"viewport": {"width": 1440, "height": 900}, "color_scheme": "dark"},
    "light": {"viewport": {"width": 1440, "height": 900}, "color_scheme": "light"},
    "400": {"viewport": {"width": 400, "height": 860}, "color_scheme": "light", "has_touch": True, "is_mobile": True},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, required=True, help="a home that `saescope demo` filled")
    parser.add_argument("--feature", type=int, default=None, help="the one shown; by default one about peace")
    parser.add_argument("--only", default="", help="names of pages, separated by commas")
    args = parser.parse_args()
    OUT.mkdir(exist_ok=True)
    with served(args.home) as site, chromium() as browser:
        for look, options in LOOKS.items():
            pictures(browser, site, look, options, args)


def pictures(browser: Browser, site: Site, look: str, options: dict, args: argparse.Namespace) -> None:
    context = browser.new_context(reduced_motion="reduce", **options)
    page = context.new_page()
    page.goto(site.door)

    def ask(path: str) -> Any:
        return page.evaluate("async (path) => (await fetch(`/api${path}`)).json()", path)

    if not ask("/llm"):
        page.evaluate(ADD_SERVER, {"name": "local", "url": "http://127.0.0.1:11434/v1", "model": "qwen3:8b"})
    extraction = ask("/extractions")[-1]["name"]
    listed = f"/extractions/{extraction}/features?sort=-detection_low&limit=1"

    def about(word: str) -> int:
        return (ask(f"{listed}&search={word}")["features"] or ask(listed)["features"])[0]["index"]

    feature = about("peaceful") if args.feature is None else args.feature
    names = [ask(f"/{kind}")[0]["name"] for kind in ("saes", "models", "datasets")]
    wanted = set(filter(None, args.only.split(",")))
    for name, (address, act) in pages(feature, extraction, *names).items():
        if wanted and name not in wanted:
            continue
        page.goto(site.address + address)
        page.locator("h1").first.wait_for()
        page.wait_for_load_state("networkidle")
        act(page)
        page.wait_for_load_state("networkidle")
        page.wait_for_timeout(400)
        page.evaluate(HIDE_PLACES, str(args.home))
        keep(page.screenshot(), OUT / f"{name}-{look}.png")
    context.close()


def keep(picture: bytes, path: Path) -> None:
    """As a PNG of 256 colours: text and lines lose nothing that is seen, and it stays small."""
    image = Image.open(io.BytesIO(picture)).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    image.save(path, optimize=True)
    size = path.stat().st_size
    sys.stdout.write(f"{size / 1000:7.1f} kB  {path.relative_to(ROOT)}\n")
    if size > LARGEST:
        sys.exit(f"{path} is larger than {LARGEST} bytes")


if __name__ == "__main__":
    main()
