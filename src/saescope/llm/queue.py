"""One queue for all calls to a server: as many at once as it takes, tried again, paid from one budget, never twice.

Every call is written down before it is made, with the worst that it can cost, and settled when it has ended, in one
transaction with the answer: after a kill, the ledger holds every call that the server can have seen. Questions that
were answered before cost nothing.
"""

import asyncio
import hashlib
import json
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import Interrupted, StudioError, Unreachable
from ..home import new_id
from ..records import Endpoint
from .budget import OVERHEAD, Budget, BudgetSpent, Purse, Spend, cost, worst
from .client import Client, Failure, Question, Reply, unreachable
from .ledger import Call, Ledger
from .pace import Pace

TRIES = 12
"""Calls for one question that the server may refuse or lose before it is given up."""
DEAD = 60
"""Calls without an answer between, after which the server is given up."""
DEAD_CONNECTIONS = 8
"""The same for a server that cannot even be connected to."""
PATIENCE = 600.0
"""The longest wait that a server may ask for."""
GRACE = 3.0
"""Seconds that calls under way have to end when the job is stopped."""
AGAIN = "\n\nYour last answer could not be read. Answer with the JSON object alone, nothing before or after it."


@dataclass(frozen=True)
class Answer:
    """What became of a question."""

    text: str | None
    reason: str | None = None
    """Why there is none."""
    raw: str | None = None
    cached: bool = False


Accepts = Callable[[str], bool]
"""Whether an answer can be read."""


@dataclass
class Totals:
    """What a queue has done since it was opened."""

    calls: int = 0
    """Answered, and so paid."""
    tried: int = 0
    """Sent."""
    cached: int = 0
    unreadable: int = 0
    spend: Spend = field(default_factory=Spend)


class Queue:
    """Calls to one server for one request, from any number of threads, until it is closed."""

    def __init__(
        self,
        endpoint: Endpoint,
        key: str | None,
        ledger: Ledger,
        scope: str,
        *,
        budget: Budget | None = None,
        concurrency: int = 16,
        seconds: float = 120.0,
        backoff: float = 0.5,
        tries: int = TRIES,
        fresh: bool = False,
        stop: threading.Event | None = None,
    ) -> None:
        """fresh: known answers are asked for once more. stop: set from outside when no more calls may be made."""
        self.endpoint, self.ledger, self.scope, self.concurrency = endpoint, ledger, scope, concurrency
        self.totals = Totals()
        self._tries, self._fresh, self._stop = tries, fresh, stop or threading.Event()
        self._purse = Purse(budget, ledger.spent(scope))
        self._error: StudioError | None = None
        self._failures = 0
        self._connections = 0
        self._tasks: set[asyncio.Task[Any]] = set()
        self._begun: list[Call] = []
        self._ended: list[Call] = []
        self._written: asyncio.Future[None] | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="llm-queue", daemon=True)
        self._thread.start()
        self._wait(self._open(key, seconds, backoff))

    def ask(self, questions: Sequence[Question], accepts: Sequence[Accepts]) -> list[Answer]:
        """An answer to each question, in order; those that failed say why.

        Raises what ends the whole request: BudgetSpent, Interrupted, Unreachable, or the reason of a refusal.
        """
        keys = [question_key(self.endpoint, question) for question in questions]
        known = {} if self._fresh else self.ledger.answers(keys)
        return self._wait(self._all(list(zip(questions, accepts, keys, strict=True)), known))

    def close(self) -> None:
        """Wait for what is being written, and let go of the connections."""
        if not self._loop.is_closed():
            self._wait(self._end())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def __enter__(self) -> "Queue":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        try:
            return asyncio.run_coroutine_threadsafe(work, self._loop).result()
        except (CancelledError, asyncio.CancelledError):
            raise self._error or Interrupted("stopped", "what was answered is kept") from None

    # ---- in the loop ----

    async def _open(self, key: str | None, seconds: float, backoff: float) -> None:
        self._client = Client(self.endpoint, key, seconds)
        self._pace = Pace(self.concurrency, backoff=backoff)
        self._paid = asyncio.Condition()
        self._watching = asyncio.create_task(self._watch())

    async def _end(self) -> None:
        self._watching.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(self._watching, *self._tasks, return_exceptions=True)
        if self._written is not None:
            await asyncio.gather(self._written, return_exceptions=True)
        await self._client.close()

    async def _watch(self) -> None:
        """When the job is stopped, give calls under way a moment, then leave them."""
        while not self._stop.is_set():
            await asyncio.sleep(0.1)
        until = time.monotonic() + GRACE
        while self._pace.under_way and time.monotonic() < until:
            await asyncio.sleep(0.05)
        for task in self._tasks:
            task.cancel()

    async def _all(self, asked: list[tuple[Question, Accepts, str]], known: dict[str, str]) -> list[Answer]:
        tasks = [asyncio.create_task(self._one(*each, known.get(each[2]))) for each in asked]
        self._tasks.update(tasks)
        try:
            return await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._tasks.difference_update(tasks)

    async def _one(self, question: Question, accepts: Accepts, key: str, known: str | None) -> Answer:
        """Ask until an answer can be read: tried again while the server fails, asked once more in words."""
        if known is not None and accepts(known):
            self.totals.cached += 1
            return Answer(known, cached=True)
        asked, again, failures, pauses = question, False, 0, 0
        while True:
            try:
                reply, raw = await self._call(asked, accepts, key)
            except Failure as failure:
                failures += failure.kind != "changed"
                if failure.kind == "bad" or failures >= self._tries:
                    return Answer(None, failure.reason)
                if failure.kind != "changed":
                    await asyncio.sleep(self._pace.pause(pauses, failure.wait))
                    pauses += failure.wait is None
                continue
            if raw is None:
                return Answer(reply.text)
            if again:
                return Answer(None, "an answer that cannot be read, twice", raw)
            room = question.max_tokens * (1 if reply.whole else 4)
            asked, again = question._replace(user=question.user + AGAIN, max_tokens=room), True

    async def _call(self, question: Question, accepts: Accepts, key: str) -> tuple[Reply, str | None]:
        """One call: (reply, the raw answer where it cannot be read). Raises Failure."""
        texts = (question.system, question.user, question.schema, *(text for pair in question.echo for text in pair))
        most = worst(self.endpoint, texts, question.max_tokens, OVERHEAD * max(1, len(question.echo)))
        await self._reserve(most)
        line = Call(new_id(), key, self.scope, self.endpoint.url, self.endpoint.model, "sent", most, most.tokens_in)
        real, entered, well, too_much, begun = Spend(), None, False, False, False
        try:
            entered = await self._pace.enter()
            self._check()
            await self._write(begun=line)
            begun = True
            self.totals.tried += 1
            real = most  # until it is known better
            started = time.monotonic()
            try:
                reply = await self._client.ask(question)
            except Failure as failure:
                real = Spend() if failure.surely_free else most
                too_much = failure.kind in ("limited", "timeout")
                ended = replace(line, state=failure.kind, status=failure.status, reason=failure.reason)
                await self._write(ended=replace(ended, charged=real, seconds=time.monotonic() - started))
                self._failed(failure)
                raise
            well = True
            real = self._real(reply, most)
            readable = accepts(reply.text)
            kept = {"answer": reply.text} if readable else {"raw": reply.text[:20_000]}
            ended = replace(line, state="answered" if readable else "unreadable", status=200, charged=real, **kept)
            await self._write(ended=replace(ended, seconds=time.monotonic() - started))
            self._failures = self._connections = 0
            self.totals.calls += 1
            self.totals.unreadable += not readable
            return reply, None if readable else reply.text
        finally:
            if entered is not None:
                await self._pace.leave(entered, well=well, too_much=too_much)
            async with self._paid:
                self._purse.settle(most, real if begun else Spend())
                self.totals.spend = self.totals.spend.plus(real if begun else Spend())
                self._paid.notify_all()

    def _real(self, reply: Reply, most: Spend) -> Spend:
        """What an answer cost: as the server counts, or the worst where it does not."""
        tokens_in = most.tokens_in if reply.tokens_in is None else reply.tokens_in
        tokens_out = most.tokens_out if reply.tokens_out is None else reply.tokens_out
        return Spend(1, tokens_in, tokens_out, cost(self.endpoint, tokens_in, tokens_out))

    async def _reserve(self, most: Spend) -> None:
        """Put the worst aside, when what is under way has settled if need be. BudgetSpent where it cannot fit."""
        async with self._paid:
            while not self._purse.fits(most):
                self._check()
                if not any(self._purse.aside):
                    budget = self._purse.budget
                    assert budget is not None
                    self._error = self._error or BudgetSpent(
                        f"the budget of {budget.text} does not hold another call",
                        "what was labelled is kept: give a larger --budget, and the same command goes on from there",
                    )
                    self._paid.notify_all()
                    raise self._error
                await self._paid.wait()
            self._check()
            self._purse.reserve(most)

    def _check(self) -> None:
        if self._error is not None:
            raise self._error
        if self._stop.is_set():
            raise Interrupted("stopped", "what was answered is kept: run or resume it to go on from there")

    def _failed(self, failure: Failure) -> None:
        """Count failures, keep away as long as the server wants, and give it up where nothing helps."""
        self._failures += failure.kind != "changed"
        self._connections += failure.kind == "refused"
        if failure.wait:
            self._pace.hold(min(failure.wait, PATIENCE))
        if failure.error is not None:
            self._error = self._error or failure.error
        elif failure.wait and failure.wait > PATIENCE:
            self._error = self._error or Unreachable(
                f"{self.endpoint.name} wants to be left alone for {failure.wait:,.0f} s",
                "what was labelled is kept: give the same command later",
            )
        elif self._failures >= DEAD or self._connections >= DEAD_CONNECTIONS:
            self._error = self._error or unreachable(self.endpoint, failure.reason)
        if self._error is not None:
            raise self._error

    async def _write(self, begun: Call | None = None, ended: Call | None = None) -> None:
        """Write lines of the ledger: those that come while one transaction runs go into the next, together."""
        if begun is not None:
            self._begun.append(begun)
        if ended is not None:
            self._ended.append(ended)
        while (ended or begun) in (*self._ended, *self._begun):
            if self._written is None:
                self._written = asyncio.ensure_future(self._flush())
            await asyncio.shield(self._written)
        return None

    async def _flush(self) -> None:
        begun, ended = self._begun, self._ended
        self._begun, self._ended = [], []
        try:
            await asyncio.to_thread(self.ledger.write, begun, ended)
        except StudioError as error:
            self._error = self._error or error
            raise
        finally:
            self._written = None


def question_key(endpoint: Endpoint, question: Question) -> str:
    """Hash of a question, of the server and model that it goes to, and of how it is asked."""
    parts = [endpoint.url, endpoint.model, *question]
    return hashlib.blake2b(json.dumps(parts).encode("utf-8", "replace"), digest_size=20).hexdigest()
