"""What requests share: the home, its catalogue for reading and for writing, extractions and answers held ready."""

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated

import anyio
from fastapi import Depends, Request

from ..home import Home
from ..records import Extraction
from ..store import catalogue, marks
from ..store.browse import Browse
from ..store.changes import Kept
from ..store.database import Database, open_database
from ..store.features import FeatureStore
from ..store.latest import Latest
from ..store.looking import vocabulary
from .memory import give_back

_OPEN_FEATURES = 200_000
"""Features of the extractions held open, about: some 60 MB at 131k. The one asked for is open whatever its size."""
_ANSWER_BYTES = 4 << 20
"""Bytes of answers held."""
_WAITING = 32
"""Questions that may wait for the worker at a time, each in a thread of its own."""


class Site:
    """An open home. Threads share it."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.answers = Latest[bytes](_ANSWER_BYTES, len, largest=_ANSWER_BYTES // 16)
        """Answers as they were sent, by what they stand for: a tag changes when its answer does."""
        self._lock, self._opening, self._making = threading.RLock(), threading.Lock(), threading.Lock()
        self._databases: dict[bool, Database] = {}
        self._kept: Kept | None = None
        self._open: OrderedDict[str, Browse] = OrderedDict()
        self._strings: OrderedDict[str, list[str]] = OrderedDict()
        self._waiting: anyio.CapacityLimiter | None = None
        self._downloading: anyio.CapacityLimiter | None = None

    @property
    def db(self) -> Database:
        """The catalogue, for reading."""
        return self._database(read_only=True)

    @property
    def writable(self) -> Database:
        """The catalogue, for what a person changes."""
        return self._database(read_only=False)

    @property
    def kept(self) -> Kept:
        """What was read of the catalogue since it was last written."""
        with self._lock:
            if self._kept is None:
                self._kept = Kept(self.db)
            return self._kept

    @property
    def waiting(self) -> anyio.CapacityLimiter:
        """Threads for what waits: so many, and none of those that answer at once."""
        if self._waiting is None:
            self._waiting = anyio.CapacityLimiter(_WAITING)
        return self._waiting

    @property
    def downloading(self) -> anyio.CapacityLimiter:
        """The one thread that makes files: each takes all of an extraction's table."""
        if self._downloading is None:
            self._downloading = anyio.CapacityLimiter(1)
        return self._downloading

    def answer(self, tag: str, make: Callable[[], bytes]) -> bytes:
        """The answer that a tag stands for. Threads make one at a time: two would take the interpreter from each other
        at every step, for a tenth fewer in all; opening an extraction, or removing one, goes on beside it. The event
        loop waits for no thread.
        """

        def alone() -> bytes:
            mine = self._making.acquire(blocking=not _in_event_loop())
            try:
                return make()
            finally:
                if mine:
                    self._making.release()

        return self.answers.get(tag, alone)

    def browse(self, name: str) -> tuple[Extraction, Browse]:
        """An extraction with its features, held open."""
        record = self.kept.get(("extraction", name), lambda: catalogue.extraction(self.db, name))
        with self._lock:
            found = self._open.get(record.id)
            if found is not None:
                self._open.move_to_end(record.id)
                return record, found
        with self._opening:  # one thread at a time: each would take the memory that it takes
            found = self._open.get(record.id) or self._opened(record)
        return record, found

    def open_newest(self) -> None:
        """Open the extraction made last, if there is one."""
        for record in catalogue.extractions(self.db)[-1:]:
            self.browse(record.name)

    def ready(self, extraction: str | None = None, search: str | None = None) -> bool:
        """Whether a question can be answered at once: of the catalogue where no other server's database is asked, of
        an extraction's features where what is held of them is as it is now.
        """
        if self.db.engine.dialect.name != "sqlite":
            return False
        if extraction is None:
            return True
        record = self.kept.get(("extraction", extraction), lambda: catalogue.extraction(self.db, extraction))
        with self._lock:
            found = self._open.get(record.id)
        return found is not None and found.ready(search)

    def _opened(self, record: Extraction) -> Browse:
        with self._lock:
            features = record.features + sum(each.store.total for each in self._open.values())
            while self._open and features > _OPEN_FEATURES:
                features -= self._open.popitem(last=False)[1].store.total
        store = FeatureStore(self.home.artifact("extractions", record.id))
        found = Browse(self.db, record.id, store, self._vocabulary(record.model), self._version)
        found.order()
        give_back()
        with self._lock:
            self._open[record.id] = found
        return found

    def _vocabulary(self, name: str) -> list[str]:
        """The strings of a model's tokens; those of the last two models are held."""
        model = catalogue.model(self.db, name)
        if model.id not in self._strings:
            self._strings[model.id] = vocabulary(self.home, model)
        self._strings.move_to_end(model.id)
        while len(self._strings) > 2:
            self._strings.popitem(last=False)
        return self._strings[model.id]

    def _version(self) -> marks.Version:
        return self.kept.get("version", lambda: marks.version(self.db))

    def _database(self, *, read_only: bool) -> Database:
        with self._lock:
            found = self._databases.get(read_only)
            if found is None:
                found = self._databases[read_only] = open_database(self.home, read_only=read_only)
            return found

    def close(self) -> None:
        """Let go of the catalogue."""
        with self._lock:
            if self._kept is not None:
                self._kept.close()
                self._kept = None
            while self._databases:
                self._databases.popitem()[1].close()


def now() -> str:
    """The time as records have it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


async def _site(request: Request) -> Site:  # async: FastAPI calls any other in a thread, for each request
    return request.app.state.site


TheSite = Annotated[Site, Depends(_site)]
