"""Jobs: queued, watched, cancelled, resumed; and the forms of their specs."""

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Annotated, Any, Literal

import anyio.to_thread
from fastapi import APIRouter, Query
from pydantic import BaseModel
from starlette.responses import Response

from ..errors import WrongRequest
from ..records import Job
from ..requests import durable, lane_of, spec_class, title
from ..specs import RunDemo
from ..store import jobs as store
from ..store.metrics import runs_of_job
from .answers import event, events, json
from .site import Site, TheSite

router = APIRouter(tags=["jobs"])
_LOOK_SECONDS = 0.5
_QUIET_SECONDS = 15.0
"""After so long without news a comment is sent, so that nothing between closes the connection."""


class Asked(BaseModel):
    """A verb, and its spec."""

    verb: str
    spec: dict[str, Any] = {}


@router.get("/specs/{verb}")
def spec(verb: str) -> Response:
    """What a verb takes, as a JSON schema."""
    return json(spec_class(verb).model_json_schema())


@router.post("/jobs", status_code=201)
def add(body: Asked, site: TheSite) -> Response:
    """Queue a job."""
    spec = spec_class(body.verb)(**body.spec)
    if not durable(spec):
        raise WrongRequest(f"{body.verb} with these values is no job", "ask /api/fire, /api/steer or /api/estimate")
    values = spec.model_dump(mode="json")
    return json(store.add(site.writable, body.verb, title(spec), values, lane_of(spec)).to_json(), 201)


@router.get("/jobs")
def jobs(
    site: TheSite,
    state: Literal["queued", "running", "succeeded", "failed", "cancelled"] | None = None,
    verb: str | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    before: str | None = None,
) -> Response:
    """Jobs, newest first; `before` an id gives the next page."""
    return json([job.to_json() for job in store.jobs(site.db, state, verb, limit, before)])


@router.get("/jobs/{id}")
def job(id: str, site: TheSite) -> Response:
    """One job, with what it has said."""
    return json(store.job(site.db, id).to_json() | {"lines": store.lines(site.db, id)})


@router.get("/jobs/{id}/lines")
def lines(id: str, site: TheSite, after: Annotated[int, Query(ge=0, lt=2**63)] = 0) -> Response:
    """What a job has said since a line."""
    return json(store.lines(site.db, store.job(site.db, id).id, after))


@router.get("/jobs/{id}/metrics")
def job_metrics(id: str, site: TheSite, after: Annotated[int, Query(ge=-1, lt=2**63)] = -1) -> Response:
    """The curves of a job's trainings, also while they run: of each its columns beyond the step `after`, and the
    checkpoints' steps.
    """
    return json(runs_of_job(site.home, store.job(site.db, id), after))


@router.post("/demo", status_code=201)
def demo(site: TheSite) -> Response:
    """Queue the demo: the whole pipeline on a small model; what the home holds of it already is kept."""
    for state in ("running", "queued"):
        if under_way := store.jobs(site.db, state, "run_demo", 1):
            return json(under_way[0].to_json(), 200)
    return json(store.add(site.writable, "run_demo", title(RunDemo()), {}, lane_of(RunDemo())).to_json(), 201)


@router.post("/jobs/{id}/cancel")
def cancel(id: str, site: TheSite) -> Response:
    """Ask a job to stop; what is whole is kept."""
    return json(store.cancel(site.writable, id).to_json())


@router.post("/jobs/{id}/resume")
def resume(id: str, site: TheSite) -> Response:
    """Queue a cancelled or failed job again; it goes on from what it kept."""
    return json(store.resume(site.writable, id).to_json())


@router.get("/jobs/{id}/events")
async def watch(id: str, site: TheSite, after: Annotated[int, Query(ge=0, lt=2**63)] = 0) -> Response:
    """A job as it goes: `job` on every change, `line` for every new line; ends with the job."""
    first = await anyio.to_thread.run_sync(store.job, site.db, id)
    return events(_news(site, first, after))


async def _news(site: Site, first: Job, after: int) -> AsyncGenerator[bytes]:
    job, shown, said = first, None, time.monotonic()
    while True:
        fresh = await anyio.to_thread.run_sync(store.lines, site.db, job.id, after)
        for line in fresh:
            after = line["id"]
            yield event("line", line)
        now = job.to_json()
        if now != shown:
            yield event("job", now)
        if fresh or now != shown:
            shown, said = now, time.monotonic()
        if job.over:
            return
        if time.monotonic() - said > _QUIET_SECONDS:
            yield b": still here\n\n"
            said = time.monotonic()
        await asyncio.sleep(_LOOK_SECONDS)
        job = await anyio.to_thread.run_sync(store.job, site.db, job.id)
