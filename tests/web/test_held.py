"""What the web process holds ready: answers, extractions, and what it read of the catalogue."""

import threading
import time
from pathlib import Path

import anyio
import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.responses import Response

from saescope.errors import NotFound
from saescope.home import Home
from saescope.store import bars, catalogue, open_database
from saescope.store.browse import Browse
from saescope.store.changes import Kept
from saescope.store.features import FeatureStore
from saescope.store.latest import Latest
from saescope.store.marks import star
from saescope.web.quick import quick
from saescope.web.site import Site


def test_answers_are_held_up_to_a_number_of_bytes() -> None:
    made: list[str] = []

    def make(tag: str, size: int) -> bytes:
        def once() -> bytes:
            made.append(tag)
            return b"x" * size

        return answers.get(tag, once)

    answers = Latest[bytes](1600, len, largest=100)
    for tag in ("a", "b", "a"):
        make(tag, 100)
    assert made == ["a", "b"]
    for number in range(15):
        make(str(number), 100)
    make("a", 100)
    make("b", 100)
    assert made.count("a") == 1
    assert made.count("b") == 2
    for _ in range(2):
        assert len(make("large", 200)) == 200
    assert made.count("large") == 2


def test_what_was_read_is_kept_until_somebody_writes(home: Home) -> None:
    with open_database(home, read_only=True) as db, open_database(home) as writable:
        record = catalogue.extraction(db, "topk-64-sotu")
        reads: list[int] = []

        def read() -> int:
            reads.append(len(reads))
            return reads[-1]

        kept = Kept(db)
        assert [kept.get("x", read) for _ in range(3)] == [0, 0, 0]
        star(writable, record.id, 3, True)
        assert [kept.get("x", read) for _ in range(3)] == [1, 1, 1]
        kept.close()


def test_threads_open_one_extraction_and_one_catalogue(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Path] = []
    read = FeatureStore.__init__

    def counted(self: FeatureStore, folder: Path) -> None:
        opened.append(folder)
        read(self, folder)

    monkeypatch.setattr(FeatureStore, "__init__", counted)
    site = Site(home)
    found: list[object] = []
    gate = threading.Barrier(8)

    def ask() -> None:
        gate.wait()
        found.append((site.browse("topk-64-sotu")[1], site.db, site.writable))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert len(opened) == 1
    site.close()


def test_an_extraction_is_ready_while_it_is_open_as_it_is_now(home: Home) -> None:
    site, name = Site(home), "topk-64-sotu"
    assert not site.ready(name)
    record, browse = site.browse(name)
    browse.rows(browse.order()[:3])
    assert site.ready(name)
    assert not site.ready(name, "word")
    browse.order(search="word")
    assert site.ready(name, "word")
    star(site.writable, record.id, 3, True)
    assert not site.ready(name)
    browse.order()
    assert site.ready(name)
    with pytest.raises(NotFound):
        site.ready("another")
    site.close()


def test_a_server_opens_the_newest_extraction_by_itself(app: FastAPI) -> None:
    with TestClient(app, base_url="http://127.0.0.1:8420"):
        until = time.monotonic() + 30
        while not app.state.site.ready("topk-64-sotu") and time.monotonic() < until:
            time.sleep(0.01)
        assert app.state.site.ready("topk-64-sotu")


@pytest.mark.parametrize("ready", [True, False])
def test_a_quick_endpoint_takes_a_thread_only_where_it_may_wait(ready: bool) -> None:
    class Asked(Site):
        def ready(self, extraction: str | None = None, search: str | None = None) -> bool:
            asked.append((extraction, search))
            return ready

    asked: list[tuple[str | None, str | None]] = []
    ran: list[int] = []

    @quick
    def endpoint(extraction: str, site: Site, search: str | None = None) -> Response:
        ran.append(threading.get_ident())
        return Response(f"{extraction} {search}")

    async def call() -> Response:
        return await endpoint(extraction="e", site=Asked(Home(Path("."))), search="words")

    assert anyio.run(call).body == b"e words"
    assert asked == [("e", "words")]
    assert (ran == [threading.get_ident()]) == ready


def test_the_event_loop_waits_for_no_thread_that_makes_an_answer() -> None:
    site, slow = Site(Home(Path("."))), threading.Event()
    begun = threading.Event()

    def wait() -> bytes:
        begun.set()
        slow.wait(30)
        return b"slow"

    thread = threading.Thread(target=lambda: site.answer("slow", wait))
    thread.start()
    begun.wait(30)

    async def ask() -> bytes:
        return site.answer("quick", lambda: b"quick")

    assert anyio.run(ask) == b"quick"
    slow.set()
    thread.join()
    assert site.answer("slow", bytes) == b"slow"


def test_a_home_that_cannot_be_opened_stops_no_server(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = threading.Event()

    def broken(_: Site) -> None:
        tried.set()
        raise RuntimeError("broken")

    monkeypatch.setattr(Site, "open_newest", broken)
    with TestClient(app, base_url="http://127.0.0.1:8420") as client:
        tried.wait(30)
        assert client.get("/api/health").status_code == 200


def test_files_without_the_peaks_column_are_read_all_the_same(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_database(home) as db:
        record = catalogue.extraction(db, "topk-64-sotu")
        store = FeatureStore(home.artifact("extractions", record.id))
        browse = Browse(db, record.id, store, [f" t{id}" for id in range(128)])
        every = list(range(0, store.total, 3))
        with_column = browse.peaks_on(every)
        monkeypatch.setattr(FeatureStore, "peaks", None)
        assert browse.peaks_on(every) == with_column
        assert all(len(with_column[index]) == 3 for index in every)


def slow_bars(counts: list[int]) -> list[int]:
    filled = [place for place, count in enumerate(counts) if count]
    if not filled:
        return []
    kept = counts[filled[0] : filled[-1] + 1]
    width = -(-len(kept) // bars.BARS)
    return [sum(kept[start : start + width]) for start in range(0, len(kept), width)]


@pytest.mark.parametrize("bins", [3, 16, 17, 64, 100])
def test_bars_are_the_histogram_without_its_empty_ends(bins: int) -> None:
    random = np.random.default_rng(bins)
    counts = random.integers(0, 50, (200, bins)) * (random.random((200, bins)) < 0.2)
    for row in range(0, 200, 5):
        counts[row, : random.integers(0, bins)] = 0
        counts[row, random.integers(0, bins) :] = 0
    counts[0] = 0
    heights, number = bars.coarse(counts)
    assert [row[:n].tolist() for row, n in zip(heights, number, strict=True)] == [
        slow_bars(row) for row in counts.tolist()
    ]
    assert not heights[np.arange(bars.BARS) >= number[:, None]].any()
