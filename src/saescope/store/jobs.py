"""Durable jobs: one table, a lease on every running row, and every write of a worker fenced by its attempt.

    queued -> running -> succeeded | failed | cancelled
       ^        ^  |
       |        +--+  taken again when its lease has run out: its worker is gone
       +-----------+  given back: its worker is told to go, its database was away, or the disk is full; then with the
                      reason in `error`, and not before its `lease_until`

A worker claims a row by one UPDATE … RETURNING, which counts the attempt up. From then on whatever it writes asks
first whether the row is still its own: a worker that was frozen and comes back writes nothing. What a verb puts into
the catalogue is noted in `made` in the same transaction, so that a job taken again knows what is there already. The
clock is the database's. The same statements run on SQLite (BEGIN IMMEDIATE) and PostgreSQL (SKIP LOCKED).
"""

import contextlib
import contextvars
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa

from .. import faults
from ..errors import NotFound, WrongRequest
from ..home import new_id
from ..records import Job
from . import schema
from .database import Database

Lane = Literal["device", "llm"]
State = Literal["queued", "running", "succeeded", "failed", "cancelled"]

LEASE_SECONDS = 30.0
BEAT_SECONDS = 0.5
PAUSE_SECONDS = 20.0
"""After which a job that found no room on the disk is begun again."""
STALLS = 3
"""Starts without anything finished after which a job is ended: it kills its workers."""
KEPT_LINES = 500
"""Lines that a job's log holds; the first ones go."""

_t = schema.jobs


class Fenced(Exception):
    """The job belongs to somebody else by now: write nothing, leave it alone."""


# ---- for everybody ---------------------------------------------------------------------------------------------------


def add(db: Database, verb: str, name: str, spec: dict[str, Any], lane: Lane = "device") -> Job:
    """Queue a job."""
    with db.writing() as connection:
        row = _new(verb, name, spec, lane) | {"created": _now(connection)}
        connection.execute(_t.insert().values(**row))
    return _job(row)


def job(db: Database, id: str) -> Job:
    """The job of that id; NotFound otherwise."""
    with db.reading() as connection:
        row = connection.execute(sa.select(_t).where(_t.c.id == id)).mappings().one_or_none()
    if row is None:
        raise NotFound(f"no job {id!r}", "see `saescope jobs list`")
    return _job(row)


def jobs(
    db: Database, state: str | None = None, verb: str | None = None, limit: int = 50, before: str | None = None
) -> list[Job]:
    """Jobs, newest first, at most `limit` of those older than the job `before`."""
    query = sa.select(_t).order_by(_t.c.id.desc()).limit(limit)
    for column, value in ((_t.c.state, state), (_t.c.verb, verb)):
        query = query if value is None else query.where(column == value)
    if before is not None:
        query = query.where(_t.c.id < before)
    with db.reading() as connection:
        return [_job(row) for row in connection.execute(query).mappings()]


def which(db: Database, ids: Collection[str]) -> set[str]:
    """Those of some ids that are jobs'."""
    with db.reading() as connection:
        return set(connection.scalars(sa.select(_t.c.id).where(_t.c.id.in_(ids))))


def lines(db: Database, id: str, after: int = 0) -> list[dict[str, Any]]:
    """What a job has said since line `after`: {"id", "created", "text"}."""
    table = schema.job_lines
    query = sa.select(table.c.id, table.c.created, table.c.text).where(table.c.job_id == id, table.c.id > after)
    with db.reading() as connection:
        return [dict(row) for row in connection.execute(query.order_by(table.c.id)).mappings()]


def cancel(db: Database, id: str) -> Job:
    """Ask a job to stop: a queued one is cancelled at once, a running one at its next whole point."""
    with db.writing() as connection:
        done = connection.execute(
            _t.update()
            .where(_t.c.id == id, _t.c.state.in_(("queued", "running")))
            .values(
                cancel=True,
                state=sa.case((_t.c.state == "queued", "cancelled"), else_=_t.c.state),
                ended=sa.case((_t.c.state == "queued", _clock(connection)), else_=_t.c.ended),
            )
        )
    found = job(db, id)
    if not done.rowcount:
        raise WrongRequest(f"job {id} is {found.state} already", "there is nothing to cancel")
    return found


def resume(db: Database, id: str) -> Job:
    """Queue a cancelled or failed job again; it goes on from what it kept."""
    with db.writing() as connection:
        done = connection.execute(
            _t.update()
            .where(_t.c.id == id, sa.or_(_t.c.state.in_(("cancelled", "failed")), _paused(connection)))
            .values(state="queued", cancel=False, stalls=0, error=sa.null(), ended=None, lease_until=0.0)
        )
    found = job(db, id)
    if not done.rowcount:
        raise WrongRequest(f"job {id} is {found.state}", "only cancelled and failed jobs are resumed")
    return found


def prune(db: Database, keep: int = 100) -> int:
    """Remove all but the newest `keep` jobs of those that are over; how many went."""
    with db.writing() as connection:
        over = _t.c.state.in_(("succeeded", "failed", "cancelled"))
        newest = sa.select(_t.c.id).where(over).order_by(_t.c.id.desc()).limit(keep)
        kept = list(connection.scalars(newest))
        gone = list(connection.scalars(sa.select(_t.c.id).where(over, _t.c.id.not_in(kept))))
        for start in range(0, len(gone), 500):
            some = gone[start : start + 500]
            connection.execute(schema.job_lines.delete().where(schema.job_lines.c.job_id.in_(some)))
            connection.execute(_t.delete().where(_t.c.id.in_(some)))
    return len(gone)


# ---- for workers -----------------------------------------------------------------------------------------------------


def claim(db: Database, lane: Lane, owner: str, only: str | None = None) -> Job | None:
    """Take the oldest job of a lane that nobody has, or `only` that one; None where there is none."""
    if not _waiting(db, lane, only):
        return None  # no write lock while there is nothing to do
    with db.writing() as connection:
        now = _clock(connection)
        expired = sa.and_(_t.c.state == "running", _t.c.lease_until < now)
        connection.execute(
            _t.update().where(expired, _t.c.cancel.is_(True)).values(state="cancelled", ended=now, owner=None)
        )
        poison = {
            "kind": "poison",
            "message": f"its worker died {STALLS} times without finishing anything",
            "hint": "look at its log and at the machine's memory, then `saescope jobs resume`",
        }
        connection.execute(
            _t.update()
            .where(expired, _t.c.stalls >= STALLS)
            .values(state="failed", error=poison, ended=now, owner=None)
        )
        due = sa.and_(_t.c.state == "queued", sa.not_(_paused(connection)))
        wanted = sa.select(_t.c.id).where(_t.c.lane == lane, sa.or_(due, expired))
        if only is not None:
            wanted = wanted.where(_t.c.id == only)
        wanted = wanted.order_by(_t.c.created, _t.c.id).limit(1)
        if connection.dialect.name == "postgresql":
            wanted = wanted.with_for_update(skip_locked=True)
        row = (
            connection.execute(
                _t.update()
                .where(_t.c.id == wanted.scalar_subquery())
                .values(
                    state="running",
                    attempt=_t.c.attempt + 1,
                    stalls=_t.c.stalls + 1,
                    owner=owner,
                    lease_until=now + LEASE_SECONDS,
                    heartbeat=now,
                    error=sa.null(),
                    started=sa.func.coalesce(_t.c.started, now),
                )
                .returning(_t)
            )
            .mappings()
            .one_or_none()
        )
        faults.point("claim.writing")
    faults.point("claim.committed")
    return None if row is None else _job(row)


def beat(db: Database, mine: Job, progress: dict[str, Any] | None) -> bool:
    """Hold the lease, say how far it has come, and learn whether to stop: one write. Fenced where it is not ours."""
    with db.writing() as connection:
        now = _clock(connection)
        values: dict[str, Any] = {"lease_until": now + LEASE_SECONDS, "heartbeat": now}
        if progress is not None:
            values["progress"] = progress
        row = connection.execute(_mine(mine).values(**values).returning(_t.c.cancel)).one_or_none()
        faults.point("beat.writing")
    if row is None:
        raise Fenced(mine.id)
    return bool(row.cancel)


def check(db: Database, mine: Job) -> None:
    """Fenced where the job is not ours any more."""
    with db.reading() as connection:
        query = sa.select(_t.c.id).where(_t.c.id == mine.id, _t.c.attempt == mine.attempt, _t.c.state == "running")
        if connection.scalar(query) is None:
            raise Fenced(mine.id)


def progressed(db: Database, mine: Job) -> None:
    """Something is on the disk that the next start goes on from: this one was no stall. Fenced where it is not ours."""
    with db.writing() as connection:
        if not connection.execute(_mine(mine).values(stalls=0)).rowcount:
            raise Fenced(mine.id)
        faults.point("kept.writing")


def say(db: Database, mine: Job, text: str) -> None:
    """Add a line to the job's log."""
    table = schema.job_lines
    with db.writing() as connection:
        if not connection.scalar(sa.select(_t.c.id).where(_t.c.id == mine.id, _t.c.attempt == mine.attempt)):
            raise Fenced(mine.id)
        values = {"job_id": mine.id, "created": _now(connection), "text": text[:2000]}
        last = connection.scalar(table.insert().values(**values).returning(table.c.id))
        first = connection.scalar(
            sa.select(table.c.id)
            .where(table.c.job_id == mine.id)
            .order_by(table.c.id.desc())
            .offset(KEPT_LINES)
            .limit(1)
        )
        if first is not None and last is not None:
            connection.execute(table.delete().where(table.c.job_id == mine.id, table.c.id <= first))


def end(
    db: Database,
    mine: Job,
    state: Literal["succeeded", "failed", "cancelled"],
    result: dict[str, Any] | None = None,
    error: dict[str, str] | None = None,
) -> None:
    """Say how the job ended; only now is its lane free. Fenced where it is not ours."""
    values = {"state": state, "result": result, "error": error, "owner": None}
    with db.writing() as connection:
        if not connection.execute(_mine(mine).values(**values, ended=_clock(connection))).rowcount:
            raise Fenced(mine.id)
        faults.point("end.writing")
    faults.point("end.committed")


def give_back(db: Database, mine: Job) -> None:
    """Queue the job again as it was before this start: its worker is told to go."""
    with db.writing() as connection:
        before = {"state": "queued", "lease_until": 0.0, "owner": None, "stalls": max(mine.stalls - 1, 0)}
        connection.execute(_mine(mine).values(**before))
        faults.point("release.writing")


def pause(db: Database, mine: Job, error: dict[str, str]) -> None:
    """Queue the job again as it was before this start, for later, with what it waits for. Fenced where not ours."""
    values = {"state": "queued", "owner": None, "stalls": max(mine.stalls - 1, 0), "error": error}
    with db.writing() as connection:
        later = _clock(connection) + PAUSE_SECONDS
        if not connection.execute(_mine(mine).values(**values, lease_until=later)).rowcount:
            raise Fenced(mine.id)


def abandon(db: Database, owner: str | None) -> int:
    """End the leases of a worker that is known to be gone (None: of every worker); how many."""
    with db.writing() as connection:
        query = _t.update().where(_t.c.state == "running").values(lease_until=0.0)
        return connection.execute(query if owner is None else query.where(_t.c.owner == owner)).rowcount


# ---- the fence -------------------------------------------------------------------------------------------------------


@dataclass
class _Holding:
    """The job that this thread carries out."""

    job: Job


_holding: contextvars.ContextVar[_Holding | None] = contextvars.ContextVar("holding", default=None)


@contextlib.contextmanager
def holding(mine: Job) -> Iterator[None]:
    """Within the block, every write of this thread to the catalogue is part of this job: see `fence` and `note`."""
    token = _holding.set(_Holding(mine))
    try:
        yield
    finally:
        _holding.reset(token)


def fence(connection: sa.Connection) -> None:
    """In a transaction that writes: Fenced unless the job of this thread is still its own; renews its lease."""
    held = _holding.get()
    if held is None:
        return
    values = {"lease_until": _clock(connection) + LEASE_SECONDS, "stalls": 0}
    if not connection.execute(_mine(held.job).values(**values)).rowcount:
        raise Fenced(held.job.id)


def note(connection: sa.Connection, kind: str, id: str, name: str) -> None:
    """In the transaction that lists a thing: that the job of this thread has made it."""
    held = _holding.get()
    if held is None:
        return
    made = [*made_by(connection, held.job.id), {"kind": kind, "id": id, "name": name}]
    connection.execute(_t.update().where(_t.c.id == held.job.id).values(made=made))


def made_by(connection: sa.Connection, id: str) -> list[dict[str, str]]:
    """What a job has made."""
    return connection.scalar(sa.select(_t.c.made).where(_t.c.id == id)) or []


def already_made(db: Database, kind: str, name: str) -> bool:
    """Whether an earlier try of this thread's job has made the thing of that name."""
    held = _holding.get()
    if held is None or held.job.attempt == 1:
        return False
    return any(made["kind"] == kind and made["name"] == name for made in held.job.made)


# ---- helpers ---------------------------------------------------------------------------------------------------------


def _mine(mine: Job) -> sa.Update:
    return _t.update().where(_t.c.id == mine.id, _t.c.attempt == mine.attempt, _t.c.state == "running")


def _waiting(db: Database, lane: Lane, only: str | None) -> bool:
    with db.reading() as connection:
        free = sa.and_(_t.c.state.in_(("queued", "running")), _t.c.lease_until < _clock(connection))
        query = sa.select(_t.c.id).where(_t.c.lane == lane, free)
        if only is not None:
            query = query.where(_t.c.id == only)
        return connection.scalar(query.limit(1)) is not None


def _paused(connection: sa.Connection) -> sa.ColumnElement[bool]:
    """Of rows that wait for room on the disk."""
    return sa.and_(_t.c.state == "queued", _t.c.lease_until >= _clock(connection))


def _clock(connection: sa.Connection) -> Any:
    """The database's clock in a statement: seconds since 1970."""
    if connection.dialect.name == "sqlite":
        return sa.literal_column("((julianday('now') - 2440587.5) * 86400.0)", sa.Double)
    return sa.literal_column("extract(epoch from clock_timestamp())::double precision", sa.Double)


def _now(connection: sa.Connection) -> float:
    return float(connection.scalar(sa.select(_clock(connection))))  # type: ignore[arg-type]


def _new(verb: str, name: str, spec: dict[str, Any], lane: Lane) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(("owner", "progress", "result", "error", "started", "ended", "heartbeat"))
    row |= {"id": new_id(), "verb": verb, "name": name, "spec": spec, "lane": lane, "state": "queued", "made": []}
    return row | {"attempt": 0, "stalls": 0, "lease_until": 0.0, "cancel": False}


def _job(row: Any) -> Job:
    values = {name: row[name] for name in Job.__dataclass_fields__}
    for name in ("progress", "result", "error"):  # a JSON null is no value
        if isinstance(values[name], str):
            values[name] = json.loads(values[name])
    return Job(**values)
