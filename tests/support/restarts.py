"""Two servers with a worker each carry out jobs while their PostgreSQL is restarted again and again."""

import contextlib
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, TypeVar

import saescope
from saescope.errors import StudioError
from saescope.home import Home
from saescope.store import jobs, open_database
from saescope.studio import Studio

from .postgresql import Postgresql
from .working import LINE, ONE_THREAD, orphans

_SERVE = """
import sys
from saescope.home import Home
from saescope.jobs.supervisor import serve
serve(Home(sys.argv[1]), "127.0.0.1", 0, print, web=sys.argv[2] == "True")
"""

T = TypeVar("T")


def restarted(home: Home, database: Postgresql, jobs_wanted: int, restarts: int, web: bool) -> dict[str, Any]:
    """Queue jobs that each add a dataset, restart the database so often while they run, and count what came of it."""
    text = home.root / "text.jsonl"
    text.write_text(LINE * 20)
    with open_database(home) as db:
        for number in range(jobs_wanted):
            spec = saescope.AddDataset(name=f"d{number}", source=str(text))
            jobs.add(db, "add_dataset", spec.name, spec.model_dump(mode="json"))

        def states() -> Counter[str]:
            found = insisting(lambda: jobs.jobs(db, limit=jobs_wanted))
            owners.update(job.owner for job in found if job.owner)
            return Counter(job.state for job in found)

        def over(share: float) -> bool:
            now = states()
            return sum(now[state] for state in ("succeeded", "failed", "cancelled")) >= share * jobs_wanted

        owners: set[str] = set()
        words = [sys.executable, "-c", _SERVE, str(home.root), str(web)]
        servers = [subprocess.Popen(words, env={**os.environ, **ONE_THREAD}) for _ in range(2)]
        began = time.monotonic()
        try:
            for number in range(restarts):
                wait(lambda n=number: over((n + 0.5) / (restarts + 1)))
                database.restart()
            wait(lambda: over(1.0))
            seconds = time.monotonic() - began
        finally:
            for server in servers:
                server.terminate()
            codes = [server.wait(30) for server in servers]
        final = states()
    with Studio(home) as studio:
        everything = studio.jobs(limit=jobs_wanted)
        names = [record.name for record in studio.datasets()]
    return {
        "jobs": jobs_wanted,
        "restarts": restarts,
        "succeeded": final["succeeded"],
        "datasets": len(names),
        "doubled": len(names) - len(set(names)) + sum(len(job.made) > 1 for job in everything),
        "started again": sum(job.attempt > 1 for job in everything),
        "workers seen": len(owners),
        "seconds": round(seconds, 1),
        "exit codes": sorted(set(codes)),
        "left over": orphans(home),
    }


def insisting(ask: Callable[[], T]) -> T:
    """Ask until the database answers."""
    while True:
        with contextlib.suppress(StudioError):
            return ask()
        time.sleep(0.1)


def wait(true: Callable[[], bool], seconds: float = 300.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.05)
