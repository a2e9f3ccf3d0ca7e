"""How soon the worker answers short questions: alone, and beside a training and an extraction.

    python benchmarks/answering.py [--home DIR] [--questions 20] [--json FILE]

The demo's model, warm, asked over the worker's socket: `fire` until its whole answer is there, `steer` until its first
token is. The promise is 200 ms. A home that is given is kept and used again; then it
takes some two minutes.
"""

import argparse
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from serving import bring_work

import saescope
from saescope.errors import Unreachable
from saescope.home import Home
from saescope.interactive import ask
from saescope.jobs import demo, verbs
from saescope.records import Job
from saescope.store import jobs, open_database
from saescope.store.database import Database

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from support.serving import server

RESULTS = Path(__file__).parent / "results" / "answering.json"
PROMISED_MS = 200.0
TEXT = "The people of the United States work in peace, and the Senate trades with every nation of the world."
FIRE = {"extraction": "look", "text": TEXT}
EDITS = [{"feature": 3, "mode": "add", "amount": 5.0, "unit": "raw"}]
STEER = {"sae": "random", "prompt": TEXT[:40], "edits": EDITS, "max_new_tokens": 4}
BESIDE = {
    "a training": saescope.TrainSae(
        model=demo.MODEL, dataset=demo.HELD_BACK_TEXT, hookpoint="layers.15.resid_post", d_sae=4096, tokens=10_000_000
    ),
    "an extraction": saescope.ExtractFeatures(saes=("random",), dataset=demo.HELD_BACK_TEXT, force=True),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, default=None, help="kept, and used again when it is there")
    parser.add_argument("--questions", type=int, default=20, help="of each kind")
    parser.add_argument("--json", type=Path, default=RESULTS, help="where the figures go")
    args = parser.parse_args()
    with contextlib.ExitStack() as stack:
        home = Home(args.home or stack.enter_context(tempfile.TemporaryDirectory()))
        bring(home)
        db = stack.enter_context(open_database(home))
        stack.enter_context(server(home))
        figures = {"alone": times(home, args.questions)}
        for name, spec in BESIDE.items():
            with running(db, spec, home):
                figures[f"beside {name}"] = times(home, args.questions)
    worst = max(each["p95_ms"] for part in figures.values() for each in part.values())
    document = {**figures, "promised_ms": PROMISED_MS, "promise kept at p95": worst <= PROMISED_MS}
    args.json.parent.mkdir(exist_ok=True)
    args.json.write_text(json.dumps(document, indent=1) + "\n")
    table = Table("", "", *next(iter(figures["alone"].values())), title="milliseconds until the worker answers")
    for when, part in figures.items():
        for kind, each in part.items():
            table.add_row(when, kind, *map(str, each.values()))
    Console(stderr=True).print(table)
    return 0 if worst <= PROMISED_MS else 1


def bring(home: Home) -> None:
    bring_work(home)
    with saescope.open(home.root) as studio:
        if all(extraction.name != "look" for extraction in studio.extractions()):
            spec = saescope.ExtractFeatures(saes=("random",), dataset=demo.HELD_BACK_TEXT, samples=32, name="look")
            studio.run(spec.model_copy(update={"force": True}))


@contextlib.contextmanager
def running(db: Database, spec: Any, home: Home) -> Iterator[None]:
    """A long job under way for the time of a block."""
    name = f"beside-{time.time_ns()}"
    spec = spec.model_copy(update={"name": name})
    id = jobs.add(db, verbs.verb(type(spec)), name, spec.model_dump(mode="json")).id
    wait(db, id, lambda job: (job.progress or {}).get("phase") in ("training", "extracting") or job.over)
    if jobs.job(db, id).over:
        raise SystemExit(f"the job beside did not run: {jobs.job(db, id).error}")
    time.sleep(2.0)
    yield
    if jobs.job(db, id).over:
        raise SystemExit("the job beside ended too soon")
    jobs.cancel(db, id)
    wait(db, id, lambda job: job.over)


def wait(db: Database, id: str, until: Callable[[Job], bool], seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not until(jobs.job(db, id)):
        if time.monotonic() > deadline:
            raise SystemExit(f"the job beside is still {jobs.job(db, id).progress} after {seconds:.0f} s")
        time.sleep(0.1)


def times(home: Home, questions: int) -> dict[str, dict[str, float]]:
    for _ in range(3):  # warm
        for verb, spec in (("fire_text", FIRE), ("steer_text", STEER)):
            until_answered(home, verb, spec)
    return {
        "fire, whole answer": spread([until_answered(home, "fire_text", FIRE) for _ in range(questions)]),
        "steer, first token": spread([until_answered(home, "steer_text", STEER) for _ in range(questions)]),
    }


def until_answered(home: Home, verb: str, spec: dict[str, Any]) -> float:
    """Milliseconds until the first token, or the result where there is none; the rest is read too."""
    for _ in range(600):
        began, first = time.perf_counter(), None
        try:
            for message in ask(home, verb, spec):
                if "error" in message:
                    raise SystemExit(message["error"])
                if first is None and ("token" in message or "result" in message):
                    first = 1000 * (time.perf_counter() - began)
            assert first is not None
            return first
        except Unreachable:  # the worker is not up yet
            time.sleep(0.1)
    raise SystemExit("the worker does not answer")


def spread(values: list[float]) -> dict[str, float]:
    shares = {"p50_ms": 0.5, "p95_ms": 0.95, "max_ms": 1.0}
    return {name: round(float(np.quantile(values, share)), 1) for name, share in shares.items()}


if __name__ == "__main__":
    sys.exit(main())
