"""How fast the pages' server answers: alone, with many clients, and while an extraction runs.

    python benchmarks/serving.py [--home DIR] [--features 131072] [--examples 100] [--clients 50] [--seconds 60]
                                 [--busy [--rate 100]] [--json FILE]

The server is a process of its own, asked over real sockets. A home that is not there yet is made and filled with one
synthetic extraction (as benchmarks/store.py makes it), so that a second run can ask the same one. --busy adds the
demo's model and text and an SAE of random weights, and asks again while a worker extracts, job after job, as it does
under `saescope serve`: as often as is answered, and so many times a second. The table also says what share of the
machine others had meanwhile: figures of a run beside others say little.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

from saescope.errors import StudioError
from saescope.home import Home
from saescope.records import Label
from saescope.store import catalogue, open_database
from saescope.store.features import write_extraction
from saescope.store.labels import add_labels
from store import CHUNK, VOCABULARY, example_table, feature_table, fill
from store import pc as compute

EXTRACTION = "e"
TOKEN = "benchmark-token-that-is-long-enough-to-be-one"
FEATURES = f"/api/extractions/{EXTRACTION}/features"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, default=None, help="kept, and used again when it is there")
    parser.add_argument("--features", type=int, default=131_072)
    parser.add_argument("--examples", type=int, default=100, help="per feature")
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=100.0, help="requests a second that are due beside an extraction")
    parser.add_argument("--repeats", type=int, default=300, help="requests of each kind, one after the other")
    parser.add_argument("--busy", action="store_true", help="also while an extraction runs")
    parser.add_argument("--json", type=Path, default=None, help="where the figures go")
    args = parser.parse_args()
    with contextlib.ExitStack() as stack:
        root = args.home or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        home = Home(root)
        make(home, args.features, args.examples)
        figures = measure(home, args)
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures))


# ---- what is asked ----


def kinds(features: int, seed: int) -> dict[str, tuple[float, Any]]:
    """Name → (share of the mixed load, a maker of addresses)."""
    chance = random.Random(seed)
    fields = ("density", "max", "mean", "active_tokens", "label", "score", "index")

    def page(more: str = "") -> str:
        return f"{FEATURES}?limit=50&offset={50 * chance.randrange(40)}&sort=-{chance.choice(fields)}{more}"

    return {
        "list, sorted": (0.30, page),
        "list, filtered": (0.15, lambda: page(f"&where=density%3C{chance.choice((0.1, 0.01, 0.001))}+and+not+dead")),
        "list, searched": (0.05, lambda: page(f"&search=label+{chance.randrange(997)}")),
        "list, counted": (0.05, lambda: f"{FEATURES}?limit=0&where=max%3E{chance.randrange(20)}"),
        "list, placed": (0.05, lambda: f"{FEATURES}?limit=0&sort=-density&around={chance.randrange(features)}"),
        "one feature with its examples": (0.35, lambda: f"{FEATURES}/{chance.randrange(features)}"),
        "extractions": (0.05, lambda: "/api/extractions"),
        "points of the scatter": (0.0, lambda: f"/api/extractions/{EXTRACTION}/points"),
        "mask of a filter": (0.0, lambda: f"/api/extractions/{EXTRACTION}/matching?where=density%3C0.01"),
    }


# ---- the home ----


def make(home: Home, features: int, examples: int) -> None:
    with open_database(home) as db:
        if any(record.name == EXTRACTION for record in catalogue.extractions(db)):
            return
        numbers = np.random.default_rng(0)
        print(f"making an extraction of {features:,} features × {examples} examples", file=sys.stderr)
        identity = fill(db, features)
        chunk = example_table(numbers, min(CHUNK, features), examples)
        folder = home.artifact("extractions", identity)
        folder.mkdir(parents=True)

        def chunks() -> Iterator[Any]:
            for first in range(0, features, CHUNK):
                part = chunk.slice(0, min(CHUNK, features - first) * examples)
                shifted = compute.cast(compute.add(part.column("feature"), first), part.schema.field("feature").type)
                yield part.set_column(0, "feature", shifted)

        write_extraction(folder, feature_table(numbers, features), chunks())
        labels = (
            Label(index, f"label {index % 997}", "lexical", None, "2026", 0.5, {"n": index})
            for index in range(features)
        )
        add_labels(db, identity, labels)
        model = home.artifact("models", catalogue.model(db, "m").id)
        model.mkdir(parents=True)
        (model / "vocabulary.json").write_text(json.dumps([f" token{id}" for id in range(VOCABULARY)]))


# ---- the server ----


@dataclass
class Server:
    """A web process that serves a home."""

    port: int
    process: "subprocess.Popen[bytes]"

    def get(self, address: str) -> bytes:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{address}", headers=HEADERS)
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.read()

    def memory(self) -> dict[str, Any]:
        """Megabytes, and whether torch's library is mapped into it."""
        used = psutil.Process(self.process.pid).memory_full_info()
        maps = Path(f"/proc/{self.process.pid}/maps")
        torch = "libtorch" in maps.read_text() if maps.exists() else None
        return {"rss_mb": round(used.rss / 1e6), "own_mb": round(used.uss / 1e6), "torch": torch}


HEADERS = {"Authorization": f"Bearer {TOKEN}", "Accept-Encoding": "identity"}


@contextlib.contextmanager
def serving(home: Home) -> Iterator[Server]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token = home.work / "benchmark-token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    words = [sys.executable, "-m", "saescope.web", "--home", str(home.root), "--host", "127.0.0.1"]
    process = subprocess.Popen([*words, "--port", str(port), "--token-file", str(token)], stdin=subprocess.PIPE)
    server = Server(port, process)
    try:
        until = time.monotonic() + 60
        while True:
            try:
                server.get("/api/health")
                break
            except (urllib.error.URLError, ConnectionError):
                if time.monotonic() > until or process.poll() is not None:
                    raise
                time.sleep(0.05)
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)
        token.unlink(missing_ok=True)


# ---- asking ----


@dataclass
class Answers:
    """Milliseconds of each request by kind, and what went wrong."""

    times: dict[str, list[float]] = field(default_factory=dict)
    wrong: dict[str, int] = field(default_factory=dict)

    def figures(self, seconds: float) -> dict[str, Any]:
        every = [one for times in self.times.values() for one in times]
        return {
            "requests": len(every),
            "per_second": round(len(every) / seconds, 1),
            **quantiles(every),
            "errors": sum(self.wrong.values()),
            "wrong": self.wrong,
            "kinds": {name: {"requests": len(times), **quantiles(times)} for name, times in self.times.items()},
        }


def quantiles(times: list[float]) -> dict[str, float]:
    if not times:
        return {}
    shares = {"p50_ms": 0.5, "p90_ms": 0.9, "p99_ms": 0.99, "max_ms": 1.0}
    return {name: round(float(np.quantile(times, share)), 2) for name, share in shares.items()}


async def ask(
    server: Server, work: Iterator[tuple[str, str]], until: float, answers: Answers, due: Iterator[float] | None = None
) -> None:
    """One client: its next request goes out when the last one is answered, on a connection that stays open.

    due: when each is to go out at the earliest; its time counts from then, so that waiting for a free client counts.
    """
    fields = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1 << 24)
    try:
        for name, address in work:
            if time.perf_counter() > until:
                return
            start = time.perf_counter()
            if due is not None:
                start = next(due)
                await asyncio.sleep(start - time.perf_counter())
            writer.write(f"GET {address} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n{fields}\r\n".encode())
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
            await reader.readexactly(length)
            answers.times.setdefault(name, []).append(1e3 * (time.perf_counter() - start))
            if (status := head[9:12].decode()) != "200":
                answers.wrong[f"{name}: {status}"] = answers.wrong.get(f"{name}: {status}", 0) + 1
    except (OSError, EOFError, IndexError, asyncio.IncompleteReadError) as error:
        what = f"{type(error).__name__}"
        answers.wrong[what] = answers.wrong.get(what, 0) + 1
    finally:
        writer.close()


def mixed(features: int, seed: int) -> Iterator[tuple[str, str]]:
    """The requests of one client without end."""
    asked = kinds(features, seed)
    names, weights = list(asked), [share for share, _ in asked.values()]
    chance = random.Random(seed)
    while True:
        name = chance.choices(names, weights)[0]
        yield name, asked[name][1]()


def load(server: Server, features: int, clients: int, seconds: float, rate: float | None = None) -> dict[str, Any]:
    """rate: requests a second of all clients together; None: as many as are answered."""
    answers = Answers()

    async def all_of_them() -> None:
        now = time.perf_counter()
        due = [itertools.count(now + seed / rate, clients / rate) if rate else None for seed in range(clients)]
        asking = (ask(server, mixed(features, seed), now + seconds, answers, due[seed]) for seed in range(clients))
        await asyncio.gather(*asking)

    others = Others(server)
    start = time.perf_counter()
    asyncio.run(all_of_them())
    return answers.figures(time.perf_counter() - start) | others.figures()


class Others:
    """What the server, the clients and everybody else have of the machine, from now on, in cores."""

    def __init__(self, server: Server) -> None:
        self._server = psutil.Process(server.process.pid)
        self._before = self._now()

    def _now(self) -> tuple[float, float, float, float]:
        every, own, mine = psutil.cpu_times(), self._server.cpu_times(), psutil.Process().cpu_times()
        busy = sum(every) - every.idle - getattr(every, "iowait", 0.0)
        return time.perf_counter(), own.user + own.system, mine.user + mine.system, busy

    def figures(self) -> dict[str, Any]:
        seconds, server, clients, busy = (now - then for now, then in zip(self._now(), self._before, strict=True))
        shares = {"server_cores": server, "clients_cores": clients, "other_cores": busy - server - clients}
        return {name: round(share / seconds, 2) for name, share in shares.items()}


def one_by_one(server: Server, features: int, repeats: int) -> dict[str, Any]:
    """Every kind of request by one client."""
    answers = Answers()
    for name, (_, address) in kinds(features, 1).items():
        work = iter([(name, address()) for _ in range(repeats)])
        asyncio.run(ask(server, work, time.perf_counter() + 600, answers))
    return answers.figures(1.0) | {"per_second": None}


# ---- beside an extraction ----


def bring_work(home: Home) -> None:
    """The demo's model and text, and an SAE of random weights."""
    import torch

    import saescope
    from saescope.jobs import demo
    from saescope.jobs.bench_extract import random_sae
    from saescope.sae import save_sae

    with saescope.open(home.root) as studio:
        if any(record.name == "random" for record in studio.saes()):
            return
        demo.bring(studio)
        model = catalogue.model(studio.db, demo.MODEL)
        hookpoint = f"layers.{model.layers // 2}.resid_post"
        x = torch.randn(256, model.d_model, generator=torch.Generator().manual_seed(0))
        with tempfile.TemporaryDirectory() as folder:
            save_sae(random_sae("topk", 16_384, x, 0), folder)
            studio.run(saescope.AddSae(name="random", source=folder, model=demo.MODEL, hookpoint=hookpoint))


@contextlib.contextmanager
def extracting(home: Home) -> Iterator[dict[str, Any]]:
    """A worker that extracts job after job, until the block ends; yields what becomes its figures."""
    from saescope.jobs import demo
    from saescope.specs import ExtractFeatures
    from saescope.store import jobs

    spec = ExtractFeatures(saes=("random",), dataset=demo.HELD_BACK_TEXT, force=True).model_dump(mode="json")
    with open_database(home) as db:
        queued = [jobs.add(db, "extract_features", "beside the load", spec, "device").id for _ in range(20)]
        words = [sys.executable, "-m", "saescope.jobs.work", "--home", str(home.root)]
        worker = subprocess.Popen(words, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
        ran: dict[str, Any] = {}
        try:
            until = time.monotonic() + 120
            while not any((jobs.job(db, id).progress or {}).get("phase") == "extracting" for id in queued):
                if worker.poll() is not None or time.monotonic() > until:
                    raise SystemExit("the extraction beside the load did not begin")
                time.sleep(0.5)
            begun, clock = psutil.Process(worker.pid).cpu_times().user, time.monotonic()
            yield ran
            used = psutil.Process(worker.pid).cpu_times().user - begun
            ran["cores_used"] = round(used / (time.monotonic() - clock), 2)
        finally:
            for id in queued:
                with contextlib.suppress(StudioError):  # over already
                    jobs.cancel(db, id)
            worker.send_signal(signal.SIGTERM)
            worker.wait(30)


# ---- all of it ----


def measure(home: Home, args: argparse.Namespace) -> dict[str, Any]:
    if args.busy:
        bring_work(home)
    figures: dict[str, Any] = {"features": args.features, "examples": args.examples, "clients": args.clients}
    with serving(home) as server:
        start = time.perf_counter()
        server.get(f"{FEATURES}?limit=50&sort=-density")
        figures["first_list_ms"] = round(1e3 * (time.perf_counter() - start))
        figures["memory_at_rest"] = server.memory()
        figures["one client"] = one_by_one(server, args.features, args.repeats)
        show("one client", figures["one client"])
        figures["idle machine"] = load(server, args.features, args.clients, args.seconds)
        show(f"{args.clients} clients, idle machine", figures["idle machine"])
        if args.busy:
            with extracting(home) as ran:
                beside = {None: "beside an extraction", args.rate: f"beside an extraction, {args.rate:.0f} a second"}
                for rate, name in beside.items():
                    figures[name] = load(server, args.features, args.clients, args.seconds, rate)
                    show(f"{args.clients} clients, {name}", figures[name])
            figures["extraction"] = ran
        figures["memory"] = server.memory()
    return figures


def show(title: str, figures: dict[str, Any]) -> None:
    names = ["requests", "p50_ms", "p90_ms", "p99_ms", "max_ms"]
    table = Table("", *names, title=title)
    for kind, one in figures["kinds"].items():
        table.add_row(kind, *(str(one[name]) for name in names))
    table.add_row("all", *(str(figures[name]) for name in names))
    console = Console(stderr=True, width=110)
    console.print(table)
    rate = figures["per_second"]
    console.print(
        f"{'' if rate is None else f'{rate} requests a second, '}{figures['errors']} errors {figures['wrong']} "
        f"{ {name: figures[name] for name in figures if name.endswith('_cores')} or '' }"
    )


if __name__ == "__main__":
    main()
