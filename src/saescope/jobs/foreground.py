"""A command in a terminal takes the path of every job: a row, a lease, a heartbeat; watched where it was asked for.

Where a worker serves the home, the job is queued for it and watched; else this process carries it out itself.
"""

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
    from .context import Context

_LOOK_SECONDS = 0.2


def run_as_job(spec: "Spec", context: "Context", tell: Any, notify: Any, options: dict[str, Any]) -> dict[str, Any]:
    """Carry out a spec as a job and give its document; raises what went wrong, as if it were called directly."""
    queued = jobs.add(
        context.db, verbs.verb(type(spec)), verbs.title(spec), spec.model_dump(mode="json"), verbs.lane_of(spec)
    )
    return follow(queued, context, tell, notify, options)


def follow(queued: Job, context: "Context", tell: Any, notify: Any, options: dict[str, Any]) -> dict[str, Any]:
    """See a queued job to its end, here or where it is served."""
    before = context.tell, context.notify
    tell, notify = tell or before[0], notify or before[1]
    if served(context.home):
        notify(f"queued as job {queued.id}: this home is served")
        return _watch(queued, context, tell, notify)
    mine = jobs.claim(context.db, queued.lane, owner_name(), only=queued.id)  # type: ignore[arg-type]
    if mine is None:  # a server was started this very moment
        return _watch(queued, context, tell, notify)
    context.stop.clear()
    return carry_out(mine, context, tell, notify, stop=context.stop, **options)


def _watch(job: Job, context: "Context", tell: Any, notify: Any) -> dict[str, Any]:
    """Follow a job that a worker carries out."""
    seen, waits_for = 0, None
    while True:
        now = jobs.job(context.db, job.id)
        for line in jobs.lines(context.db, job.id, seen):
            notify(line["text"])
            seen = line["id"]
        if now.progress:
            fields = ("phase", "done", "total", "unit", "note")
            tell(Progress(**{name: now.progress[name] for name in fields}))
        if now.over:
            return _document(now)
        if now.error and now.error != waits_for:
            notify(f"{now.error['message']}: it goes on when there is room")
        waits_for = now.error
        if context.stop.is_set():
            context.stop.clear()
            jobs.cancel(context.db, job.id)
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
