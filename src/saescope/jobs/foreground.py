"""A command in a terminal takes the path of every job: a row, a lease, a heartbeat; watched where it was asked for.

Where a worker serves the home, the job is queued for it and watched; else this process carries it out itself.
"""

import contextlib
import threading
import time
from typing import TYPE_CHECKING, Any

from .. import errors
from ..errors import Interrupted, StudioError
from ..records import Job, Progress
from ..store import jobs
from . import verbs
from .serving import served
from .worker import carry_out, owner_name

if TYPE_CHECKING:
    from ..specs import Spec
    from ..studio import Studio

_LOOK_SECONDS = 0.2


def run_as_job(spec: "Spec", studio: "Studio", tell: Any, notify: Any, options: dict[str, Any]) -> dict[str, Any]:
    """Carry out a spec as a job and give its document; raises what went wrong, as if it were called directly."""
    queued = jobs.add(
        studio.db, verbs.verb(type(spec)), verbs.title(spec), spec.model_dump(mode="json"), verbs.lane_of(spec)
    )
    return follow(queued, studio, tell, notify, options)


def follow(queued: Job, studio: "Studio", tell: Any, notify: Any, options: dict[str, Any]) -> dict[str, Any]:
    """See a queued job to its end, here or where it is served."""
    context, before = studio.context, (studio.context.tell, studio.context.notify)
    tell, notify = tell or before[0], notify or before[1]
    if served(studio.home):
        notify(f"queued as job {queued.id}: this home is served")
        return _watch(queued, studio, tell, notify)
    mine = jobs.claim(studio.db, queued.lane, owner_name(), only=queued.id)  # type: ignore[arg-type]
    if mine is None:  # a server was started this very moment
        return _watch(queued, studio, tell, notify)
    context.stop.clear()
    with _passing_on(context.stop, studio, mine):
        return carry_out(mine, context, tell, notify, **options)


class _passing_on:
    """What asks the studio to stop asks the job to stop: by way of its row, as everybody does."""

    def __init__(self, stop: threading.Event, studio: "Studio", job: Job) -> None:
        self._stop, self._studio, self._job = stop, studio, job
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._done.wait(0.05):
            if self._stop.is_set():
                with contextlib.suppress(StudioError):  # it may just have ended
                    jobs.cancel(self._studio.db, self._job.id)
                return


def _watch(job: Job, studio: "Studio", tell: Any, notify: Any) -> dict[str, Any]:
    """Follow a job that a worker carries out."""
    seen = 0
    while True:
        now = jobs.job(studio.db, job.id)
        for line in jobs.lines(studio.db, job.id, seen):
            notify(line["text"])
            seen = line["id"]
        if now.progress:
            fields = ("phase", "done", "total", "unit", "note")
            tell(Progress(**{name: now.progress[name] for name in fields}))
        if now.over:
            return _document(now)
        if studio.context.stop.is_set():
            studio.context.stop.clear()
            jobs.cancel(studio.db, job.id)
        time.sleep(_LOOK_SECONDS)


def _document(job: Job) -> dict[str, Any]:
    if job.state == "succeeded":
        return job.result or {}
    if job.state == "cancelled":
        raise Interrupted("stopped", f"saescope jobs resume {job.id} goes on from what was kept")
    said = job.error or {"kind": "internal", "message": "it failed", "hint": ""}
    kinds = {
        each.kind: each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, StudioError)
    }
    raise kinds.get(said["kind"], StudioError)(said["message"], said["hint"])
