"""How fast the web app is in a browser: first load, and the features page while it scrolls, sorts, filters, draws.

    saescope serve &   python benchmarks/web.py http://127.0.0.1:8420/features/EXTRACTION [--token=T]

Needs playwright and Chromium. Stalls are the browser's own long tasks (over 50 ms); frame times are the gaps
between animation frames while the pointer moves. Without a graphics card the points are drawn by the CPU.
"""

import argparse
import json
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Page, sync_playwright

WATCH = """() => {
  window.__tasks = []; window.__frames = [];
  new PerformanceObserver((list) => { for (const e of list.getEntries()) window.__tasks.push(e.duration); })
    .observe({ entryTypes: ["longtask"] });
  let last = performance.now();
  const tick = (now) => { window.__frames.push(now - last); last = now; requestAnimationFrame(tick); };
  requestAnimationFrame(tick);
}"""
TAKE = "() => { const t = [window.__tasks, window.__frames]; window.__tasks = []; window.__frames = []; return t; }"


ROWS = """(function look() {
  const shown = document.querySelector(".tbl .line[aria-selected=true] .num");
  requestAnimationFrame(shown ? (now) => { window.__rows = now; } : look);
})()"""
"""When the first rows have been painted: the frame after the one that holds them."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address")
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    parser.add_argument("--scale", type=float, default=1, help="device pixels per CSS pixel")
    parser.add_argument("--token", default=None, help="what `saescope serve` printed, to be let in")
    args = parser.parse_args()
    flags = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=args.chromium, args=flags)
        context = browser.new_context(viewport={"width": 1440, "height": 900}, device_scale_factor=args.scale)
        page = context.new_page()
        if args.token:
            parts = urlsplit(args.address)
            page.goto(f"{parts.scheme}://{parts.netloc}/?token={args.token}")
        first_load(page, args.address)
        page.evaluate(WATCH)
        for name, act in ACTS.items():
            page.evaluate(TAKE)
            act(page)
            page.wait_for_timeout(400)
            report(name, *page.evaluate(TAKE))
        page.evaluate(TAKE)
        scatter(page)
        browser.close()


def first_load(page: Page, address: str) -> None:
    sizes: list[int] = []
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    kinds: dict[str, str] = {}
    session.on("Network.responseReceived", lambda e: kinds.update({e["requestId"]: e["type"]}))
    session.on(
        "Network.loadingFinished",
        lambda e: sizes.append(int(e["encodedDataLength"])) if kinds.get(e["requestId"]) == "Script" else None,
    )
    page.add_init_script(ROWS)
    page.goto(address)
    page.wait_for_function("() => window.__rows", timeout=60_000)
    times = page.evaluate("""() => { const n = performance.getEntriesByType("navigation")[0];
      const p = performance.getEntriesByName("first-contentful-paint")[0];
      return { paint: p && p.startTime, loaded: n.loadEventEnd, rows: window.__rows }; }""")
    page.wait_for_timeout(1500)
    say("first load", script_bytes=sum(sizes), paint_ms=times["paint"], rows_shown_ms=times["rows"])


def scroll(page: Page) -> None:
    page.mouse.move(700, 700)
    for _ in range(60):
        page.mouse.wheel(0, 400)
        page.wait_for_timeout(16)


def drag_scrollbar(page: Page) -> None:
    page.evaluate("""async () => { const t = document.querySelector(".tbl");
      for (let k = 0; k <= 60; k++) { t.scrollTop = t.scrollHeight * k / 60;
        await new Promise(requestAnimationFrame); } }""")


def to_top(page: Page) -> None:
    page.evaluate("() => { document.querySelector('.tbl').scrollTop = 0; }")


def sort(page: Page) -> None:
    for name in ("Density", "Max", "Label", "Score"):
        page.get_by_role("button", name=name, exact=True).first.click()
        page.wait_for_timeout(600)


def search(page: Page) -> None:
    page.keyboard.press("/")
    page.keyboard.type("college", delay=60)
    page.wait_for_timeout(700)
    for _ in range(7):
        page.keyboard.press("Backspace")
    page.wait_for_timeout(700)
    page.keyboard.press("Escape")


def walk(page: Page) -> None:
    for _ in range(60):
        page.keyboard.press("j")
        page.wait_for_timeout(16)


def box(page: Page) -> dict[str, float]:
    found = page.locator(".plot svg").first.bounding_box()
    assert found
    return dict(found)


def hover(page: Page) -> None:
    b = box(page)
    for k in range(120):
        page.mouse.move(b["x"] + 200 + 4 * k, b["y"] + 120 + 40 * ((k % 20) / 20))
        page.wait_for_timeout(8)


def brush(page: Page) -> None:
    b = box(page)
    page.mouse.move(b["x"] + 300, b["y"] + 80)
    page.mouse.down()
    for k in range(120):
        page.mouse.move(b["x"] + 300 + 3 * k, b["y"] + 80 + k)
        page.wait_for_timeout(8)
    page.mouse.up()
    page.wait_for_timeout(700)
    page.keyboard.press("Escape")
    page.wait_for_timeout(500)


def zoom(page: Page) -> None:
    b = box(page)
    page.mouse.move(b["x"] + 500, b["y"] + 120)
    for k in range(80):
        page.mouse.wheel(0, -60 if k < 40 else 60)
        page.wait_for_timeout(8)
    page.keyboard.press("z")


ACTS = {
    "scroll by wheel": scroll,
    "drag the scrollbar end to end": drag_scrollbar,
    "back to the top": to_top,
    "sort by four columns": sort,
    "search and clear": search,
    "60 rows with j": walk,
    "hover the points": hover,
    "brush": brush,
    "zoom by wheel": zoom,
}


def scatter(page: Page) -> None:
    """Frames the plot alone can be drawn in: the view moves a little in each, the card is waited for."""
    times = page.evaluate("""async () => {
      const cloud = document.querySelector(".plot canvas").cloud; const old = { ...cloud.view }; const times = [];
      for (let k = 0; k < 120; k++) {
        cloud.view = { x0: old.x0 + k / 500, x1: old.x1 + k / 500, y0: old.y0, y1: old.y1 };
        const start = performance.now(); cloud.drawNow(); times.push(performance.now() - start);
        await new Promise(requestAnimationFrame);
      }
      cloud.view = old; cloud.draw(); return times; }""")
    times.sort()
    say("the points alone", points=page.evaluate("() => document.querySelector('.plot canvas').cloud.size"),
        median_ms=times[60], p95_ms=times[113])  # fmt: skip


def report(name: str, tasks: list[float], frames: list[float]) -> None:
    frames = sorted(frames[1:])
    some = frames or [0.0]
    say(
        name,
        longest_stall_ms=max(tasks, default=0),
        stalls_over_100_ms=sum(task > 100 for task in tasks),
        frame_median_ms=some[len(some) // 2],
        frame_p95_ms=some[int(0.95 * (len(some) - 1))],
    )


def say(name: str, **figures: Any) -> None:
    rounded = {key: round(value, 1) if isinstance(value, float) else value for key, value in figures.items()}
    print(json.dumps({"measure": name, **rounded}), flush=True)


if __name__ == "__main__":
    main()
