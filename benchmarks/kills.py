"""`saescope serve` killed, cancelled and told to end at random moments while it trains and extracts.

    python benchmarks/kills.py [--kills 100] [--cancels 100] [--ends 10] [--seed 0] [--home DIR] [--json FILE]

Kills are `kill -9` of the worker and of the server in turn. A killed server is started again at once, as systemd would.
Every job must end, once, with the result of a run that nothing disturbed; nothing may be left over; and a job must
run again soon. Cancelled jobs must stop soon and go on when resumed. Told to end by SIGTERM, the server must exit with
0 and give its job back. The model is tiny, so that most of the time passes in what is tested. Exit 1 where a promise
does not hold. After two starts without progress a job is left alone until it has made some: a third kill would end it
as poison, which is what it is for. With --home what is counted is added to what was counted there before.
"""

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from saescope.errors import WrongRequest
from saescope.home import Home
from saescope.records import Job
from saescope.store import jobs, open_database
from saescope.store.database import Database
from support.working import ONE_THREAD, extract, orphans, prepared, queue, result, same, train

RESULTS = Path(__file__).parent / "results" / "kills.json"
VARIETIES = 3
PROMISED = {"running again, s": 45.0, "stopped, s": 5.0, "ended, s": 10.0}
COUNTED = "counted.json"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--cancels", type=int, default=100)
    parser.add_argument("--ends", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--home", type=Path, default=None, help="kept, and used again when it is there")
    parser.add_argument("--json", type=Path, default=RESULTS, help="where the figures go")
    args = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = args.home or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        home = Home(folder / "home") if (folder / COUNTED).exists() else prepared(folder, {"text": 1500})
        counted = json.loads((folder / COUNTED).read_text()) if (folder / COUNTED).exists() else {}
        with open_database(home) as db:
            bench = Bench(home, db, random.Random(args.seed))
            if not counted:
                bench.undisturbed()
            trials = {"kills": (bench.kills, args.kills), "cancels": (bench.cancels, args.cancels)}
            for name, (trial, count) in {**trials, "ends": (bench.ends, args.ends)}.items():
                if count:
                    counted[name] = added(counted.get(name, {}), trial(count))
                    (folder / COUNTED).write_text(json.dumps(counted))
        left = orphans(home)
    figures = {name: judged(name, part) for name, part in counted.items()} | {"left over": left}
    figures["promises kept"] = not left and all(part["kept"] for part in figures.values() if isinstance(part, dict))
    args.json.parent.mkdir(exist_ok=True)
    args.json.write_text(json.dumps(figures, indent=1) + "\n")
    show(figures)
    return 0 if figures["promises kept"] else 1


def added(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Counts are added, lists joined."""
    both = {**one, **other}
    for name in one.keys() & other.keys():
        both[name] = added(one[name], other[name]) if isinstance(one[name], dict) else one[name] + other[name]
    return both


def judged(name: str, counted: dict[str, Any]) -> dict[str, Any]:
    """Times as quantiles, and whether what is promised was kept."""
    times, limit = next((each, limit) for each, limit in PROMISED.items() if each in counted)
    wrong = ("lost", "doubled", "differing", "processes left", "jobs left running")
    kept = not any(counted.get(each) for each in wrong) and max(counted[times]) <= limit
    kept = kept and set(counted.get("exit codes", [0])) == {0}
    shown = {each: value for each, value in counted.items() if not isinstance(value, list)}
    if "exit codes" in counted:
        shown["exit codes"] = sorted(set(counted["exit codes"]))
    if "starts of a job" in counted:
        shown["most starts of a job"] = max(counted["starts of a job"])
    return {**shown, times: spread(counted[times]), "kept": kept}


class Server:
    """`saescope serve` and what it started."""

    def __init__(self, home: Home) -> None:
        words = [sys.executable, "-m", "saescope", "serve", "--home", str(home.root), "--port", "0"]
        environment = {**os.environ, **ONE_THREAD}
        self.process = subprocess.Popen(words, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    def worker(self) -> psutil.Process | None:
        return next((child for child in self.everyone() if "saescope.jobs.work" in words_of(child)), None)

    def everyone(self) -> list[psutil.Process]:
        with contextlib.suppress(psutil.Error):
            me = psutil.Process(self.process.pid)
            return [me, *me.children(recursive=True)]
        return []


def words_of(process: psutil.Process) -> list[str]:
    with contextlib.suppress(psutil.Error):
        return process.cmdline()
    return []


class Bench:
    """One home, and what was asked of it."""

    def __init__(self, home: Home, db: Database, chance: random.Random) -> None:
        self.home, self.db, self.chance = home, db, chance
        self.names: dict[str, str] = {}
        """Job by name of what it makes."""

    # ---- what is asked for ----

    def add(self, what: str) -> str:
        """Queue a training or an extraction, of some varieties, in turn."""
        number = len(jobs.jobs(self.db, limit=100_000))
        variety, name = number // 2 % VARIETIES, f"{what}-{number}"
        if number % 2:
            spec = extract(name, "text", seed=variety, samples=1200)
        else:
            spec = train(name, "text", seed=variety, tokens=64 * 2000, checkpoint_every=100, metrics_every=100)
        self.names[name] = queue(self.home, spec)
        return self.names[name]

    def undisturbed(self) -> None:
        """One of each variety, to compare with."""
        with self.serving():
            for _ in range(2 * VARIETIES):
                self.until_over(self.add("whole"))
        self.names.clear()

    def check(self) -> dict[str, int]:
        """Of the jobs of this trial: those lost, doubled, and those whose result differs."""
        over = {name: jobs.job(self.db, id) for name, id in self.names.items()}
        made = [made["name"] for job in over.values() for made in job.made]
        lost = [name for name, job in over.items() if job.state != "succeeded"]
        differing = [name for name in over if name not in lost and not self.as_undisturbed(name)]
        doubled = len(made) - len(set(made)) + sum(len(job.made) > 1 for job in over.values())
        self.names.clear()
        return {"jobs": len(over), "lost": len(lost), "doubled": doubled, "differing": len(differing)}

    def as_undisturbed(self, name: str) -> bool:
        variety = int(name.rpartition("-")[2]) % (2 * VARIETIES)
        return same(result(self.home, name), result(self.home, f"whole-{variety}"))

    # ---- waiting ----

    def until(self, true: Callable[[], Any], seconds: float = 120.0) -> Any:
        deadline = time.monotonic() + seconds
        while not (found := true()):
            if time.monotonic() > deadline:
                raise SystemExit("it did not come to that in time")
            time.sleep(0.02)
        return found

    def job(self, id: str) -> Job:
        return jobs.job(self.db, id)

    def until_over(self, id: str) -> Job:
        self.until(lambda: self.job(id).over, 300)
        return self.job(id)

    def running(self) -> Job | None:
        return next(iter(jobs.jobs(self.db, state="running")), None)

    @contextlib.contextmanager
    def serving(self) -> Iterator[Server]:
        server = Server(self.home)
        try:
            yield server
        finally:
            if server.process.poll() is None:
                server.process.terminate()
                server.process.wait(30)

    # ---- the three trials ----

    def kills(self, count: int) -> dict[str, Any]:
        hits, again, starts = {"worker": 0, "server": 0}, [], []
        server = Server(self.home)
        try:
            while sum(hits.values()) < count:
                if len(jobs.jobs(self.db, state="queued")) < 2:
                    self.add("killed")
                job = self.until(self.running)
                if job.stalls >= 2:
                    self.until(lambda j=job: self.job(j.id).over or self.job(j.id).stalls == 0)
                time.sleep(self.chance.uniform(0, 4))
                job, victim = self.running(), ("worker", "server")[sum(hits.values()) % 2]
                worker = server.worker()
                if job is None or worker is None:
                    continue
                if victim == "worker":
                    worker.kill()
                else:
                    server.process.kill()
                    server.process.wait()
                    server = Server(self.home)
                clock = time.monotonic()
                if self.job(job.id).over:
                    continue  # it ended in this very moment
                self.until(lambda j=job: self.job(j.id).attempt > j.attempt or self.job(j.id).over)
                again.append(time.monotonic() - clock)
                starts.append(self.job(job.id).attempt)
                hits[victim] += 1
                say(f"kill {sum(hits.values())} of {count}: {victim}, running again after {again[-1]:.1f} s")
            for name, id in self.names.items():
                if (ended := self.until_over(id)).state != "succeeded":
                    say(f"{name}: {ended.state} {ended.error}")
        finally:
            server.process.terminate()
            server.process.wait(30)
        return {**hits, **self.check(), "running again, s": again, "starts of a job": starts}

    def cancels(self, count: int) -> dict[str, Any]:
        times, left, phases = [], 0, {}
        with self.serving() as server:
            while len(times) < count:
                id = self.add("cancelled")
                self.until(lambda i=id: self.job(i).state == "running" or self.job(i).over)
                time.sleep(self.chance.uniform(0, 2))
                before = {process.pid for process in server.everyone()}
                try:
                    jobs.cancel(self.db, id)
                except WrongRequest:
                    continue  # it had ended
                clock = time.monotonic()
                ended = self.until_over(id)
                took = time.monotonic() - clock
                left += len({process.pid for process in server.everyone()} - before)
                if ended.state == "cancelled":
                    times.append(took)
                    phase = (ended.progress or {}).get("phase", "before it said anything")
                    phases[phase] = phases.get(phase, 0) + 1
                    jobs.resume(self.db, id)
                    self.until_over(id)
                    say(f"cancel {len(times)} of {count}: in {phase}, stopped after {took:.2f} s")
        return {"cancelled": len(times), "phases": phases, "stopped, s": times, **self.check(), "processes left": left}

    def ends(self, count: int) -> dict[str, Any]:
        times, codes, left, running = [], [], 0, 0
        for number in range(count):
            with self.serving() as server:
                waiting = jobs.jobs(self.db, state="queued")
                id = waiting[0].id if waiting else self.add("ended")
                self.until(lambda i=id: self.job(i).state == "running" and self.job(i).progress)
                time.sleep(self.chance.uniform(0, 3))
                everyone = server.everyone()
                clock = time.monotonic()
                server.process.send_signal(signal.SIGTERM)
                codes.append(server.process.wait(60))
                times.append(time.monotonic() - clock)
                left += sum(process.is_running() for process in everyone)
                running += (state := self.job(id).state) == "running"
                say(f"end {number + 1} of {count}: code {codes[-1]} after {times[-1]:.1f} s, its job is {state}")
        with self.serving():
            for id in self.names.values():
                self.until_over(id)
        figures = {"ended": count, "exit codes": codes, "ended, s": times, **self.check()}
        return {**figures, "jobs left running": running, "processes left": left}


def spread(times: list[float]) -> dict[str, float]:
    return {name: round(float(np.quantile(times, q)), 2) for name, q in (("p50", 0.5), ("p95", 0.95), ("max", 1.0))}


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def show(figures: dict[str, Any]) -> None:
    trials = [name for name in ("kills", "cancels", "ends") if name in figures]
    table = Table("", *trials, title="jobs disturbed at random moments")
    parts = [figures[name] for name in trials]
    for name in dict.fromkeys(key for part in parts for key in part):
        table.add_row(name, *(shown(part.get(name, "")) for part in parts))
    console = Console(stderr=True, width=130)
    console.print(table)
    console.print(f"left over: {figures['left over'] or 'nothing'}; promises kept: {figures['promises kept']}")


def shown(value: Any) -> str:
    return "  ".join(f"{name} {each}" for name, each in value.items()) if isinstance(value, dict) else str(value)


if __name__ == "__main__":
    sys.exit(main())
