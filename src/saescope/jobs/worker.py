"""The worker: takes jobs from the table and carries them out, one lane at a time for the device, others beside it.

A job is carried out by `carry_out`, the same for a worker under `saescope serve` and for a command in a terminal. A
heart beats twice a second: it holds the lease, writes how far the job has come, and learns whether it is to stop.
"""

import contextlib
import logging
import os
import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import exc

from ..errors import BrokenHome, Interrupted, NoMemory, NoSpace, StudioError, Unreachable
from ..home import Home, no_space, runs_of
from ..records import Job, Progress
from ..store import catalogue, jobs
from ..store.database import Database
from ..store.publishing import remove_leftovers
from ..store.show import show_dataset, show_model, show_sae
from . import verbs
from .context import Context
from .progress import Meter
from .runs import remove

POLL_SECONDS = 0.1
LLM_THREADS = 2
_AGAIN_SECONDS = 0.5
_NICENESS = 5
"""Of the device's long jobs: a third of the weight of a page's thread, enough not to be starved by many of these."""

_OWN_PHASES = ("extracting", "training")
"""Phases that look at `stop` themselves, where what they keep is whole."""

_LOG = logging.getLogger("saescope.worker")


def owner_name() -> str:
    """A name that no other worker has, on this machine or another."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"


def carry_out(
    job: Job,
    context: Context,
    tell: Any = None,
    notify: Any = None,
    going: threading.Event | None = None,
    stop: threading.Event | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Carry out a claimed job to its end, and give its document; its row says how it ended.

    going: set when the worker is told to go: the job is given back, not cancelled. stop: set by whoever wants it
    cancelled without asking its row. Raises what the verb raised, and
    Fenced when the job has become somebody else's.
    """
    db, meter, stop = context.db, Meter(), stop or threading.Event()

    def told(progress: Progress) -> None:
        meter(progress)
        if tell is not None:
            tell(progress)
        if progress.phase not in _OWN_PHASES:
            working.check_stop()

    def noted(message: str) -> None:
        if notify is not None:
            notify(message)
        with contextlib.suppress(jobs.Fenced, StudioError):
            jobs.say(db, job, message)

    working = context.for_job(told, noted, stop, job)
    working.saving = lambda: jobs.check(db, job)
    working.kept = lambda: jobs.progressed(db, job)
    try:
        with jobs.holding(job), _heart(db, job, meter, stop, going):
            remove_leftovers(context.home, db)
            result = _made_before(job, context) or _run(job, working, options)
        _written(lambda: jobs.end(db, job, "succeeded", result=result), going)
        return result
    except jobs.Fenced:
        raise
    except BaseException as error:
        _ended(db, job, error, going)
        raise


def _run(job: Job, context: Context, options: dict[str, Any]) -> dict[str, Any]:
    spec = verbs.spec_of(job)
    with translated(context.home):
        return verbs.module(spec).run(spec, context, **options)


@contextlib.contextmanager
def translated(home: Home) -> Iterator[None]:
    """A full disk and a full memory, as lines for a person."""
    try:
        yield
    except OSError as error:
        raise no_space(error, home.root) or error from None
    except (MemoryError, RuntimeError) as error:
        if not verbs.memory_ran_out(error):
            raise
        raise NoMemory("memory ran out", "use a smaller batch, context or SAE, or a machine with more") from None


def _ended(db: Database, job: Job, error: BaseException, going: threading.Event | None) -> None:
    """Write how a job ended that did not succeed. Fenced where that is the reason: its files were taken away."""

    def write() -> None:
        if isinstance(error, Unreachable) and "SAESCOPE_DATABASE_URL" in error.hint:
            jobs.give_back(db, job)  # the database was gone: begun again when it is there
        elif isinstance(error, (Interrupted, KeyboardInterrupt)):
            if going is not None and going.is_set() and not jobs.job(db, job.id).cancel:
                jobs.give_back(db, job)
            else:
                jobs.end(db, job, "cancelled")
        elif isinstance(error, NoSpace) and not isinstance(error, NoMemory) and going is not None:
            jobs.pause(db, job, error.to_json()["error"])  # a terminal is told instead
        elif isinstance(error, StudioError):
            jobs.end(db, job, "failed", error=error.to_json()["error"])
        else:
            what = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            hint = "this is our fault, not yours: please report it"
            jobs.end(db, job, "failed", error={"kind": "internal", "message": what, "hint": hint})

    with contextlib.suppress(StudioError):
        _written(write, going)


def _written(write: Callable[[], None], going: threading.Event | None) -> None:
    """Have the job's row written, where its database is away or the disk is full as soon as it can be.

    Given up when its lease has run out: then it is taken again. Of a write that was lost on the way it is not known
    whether it was made; made twice, the second finds the row fenced.
    """
    until = time.monotonic() + jobs.LEASE_SECONDS
    while True:
        try:
            return write()
        except (StudioError, exc.SQLAlchemyError):
            if time.monotonic() > until or (going is not None and going.is_set()):
                raise
            time.sleep(_AGAIN_SECONDS)


@contextlib.contextmanager
def _heart(
    db: Database, job: Job, meter: Meter, stop: threading.Event, going: threading.Event | None
) -> Iterator[None]:
    """Within the block the job's lease is held; `stop` is set when it is to end."""
    done = threading.Event()

    def beating() -> None:
        while not done.wait(jobs.BEAT_SECONDS):
            try:
                if jobs.beat(db, job, meter.now()) or (going is not None and going.is_set()):
                    stop.set()
            except jobs.Fenced:
                stop.set()
                return
            except (StudioError, exc.SQLAlchemyError) as error:  # the lease outlives a short absence
                _LOG.warning("job %s: no heartbeat: %s", job.id, error)

    heart = threading.Thread(target=beating, name=f"heart-{job.id}", daemon=True)
    heart.start()
    try:
        yield
    finally:
        done.set()
        heart.join()


def _made_before(job: Job, context: Context) -> dict[str, Any] | None:
    """The document of what an earlier try has made, where the try was killed only after it was listed."""
    several = job.verb in ("train_saes", "run_demo") or len(job.spec.get("saes") or ()) > 1
    if not job.made or several:
        return None
    try:
        document = _document(job.made[-1], context)
    except StudioError:
        return None  # removed since
    for folder in runs_of(context.home.work, job.id):
        remove(folder)
    return document


def _document(made: dict[str, str], context: Context) -> dict[str, Any]:
    if made["kind"] == "dataset":
        record = catalogue.dataset(context.db, made["name"])
        return show_dataset(record, context.home, lambda model, tokens: None, None, None)
    if made["kind"] == "model":
        return show_model(catalogue.model(context.db, made["name"]))
    if made["kind"] == "sae":
        record = catalogue.sae(context.db, made["name"])
        return {**show_sae(record, context.home), "sae": record.name, **record.metrics}
    return {"extraction": made["name"], **catalogue.extraction(context.db, made["name"]).to_json()}


class Worker:
    """Takes jobs until it is told to go."""

    def __init__(self, context: Context, owner: str | None = None) -> None:
        self.context = context
        self.owner = owner or owner_name()
        self.going = threading.Event()

    def start(self) -> list[threading.Thread]:
        """A thread for the device, and some for calls to LLMs."""
        lanes: list[jobs.Lane] = ["device", *["llm" for _ in range(LLM_THREADS)]]  # type: ignore[list-item]
        threads = [threading.Thread(target=self._take, args=(lane,), name=lane, daemon=True) for lane in lanes]
        for thread in threads:
            thread.start()
        return threads

    def _take(self, lane: jobs.Lane) -> None:
        if lane == "device":
            _give_way()
        while not self.going.is_set():
            try:
                job = jobs.claim(self.context.db, lane, self.owner)
            except (StudioError, exc.SQLAlchemyError) as error:
                if isinstance(error, BrokenHome):
                    raise
                _LOG.warning("no jobs can be asked for: %s", error)
                self.going.wait(1.0)
                continue
            if job is None:
                self.going.wait(POLL_SECONDS)
                continue
            began = time.monotonic()
            try:
                carry_out(job, self.context, going=self.going)
                _LOG.info("job %s %s: done in %.1f s", job.id, job.verb, time.monotonic() - began)
            except jobs.Fenced:
                _LOG.warning("job %s %s: somebody else has it", job.id, job.verb)
            except Exception as error:
                _LOG.warning("job %s %s: %s", job.id, job.verb, error)


def _give_way() -> None:
    """Let the pages and short questions go before this thread and those it starts, where a thread has a niceness."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
