"""What requests share: the home, its catalogue for reading and for writing, and extractions held open."""

import threading
from collections import OrderedDict
from datetime import UTC, datetime
from functools import cached_property
from typing import Annotated

from fastapi import Depends, Request

from ..home import Home
from ..records import Extraction
from ..store import catalogue
from ..store.browse import Browse
from ..store.database import Database, open_database
from ..store.features import FeatureStore
from ..store.looking import strings_of

_OPEN = 4
"""Extractions held open: some 60 MB each at 131k features."""


class Site:
    """An open home. Threads share it."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self._lock = threading.Lock()
        self._open: OrderedDict[str, Browse] = OrderedDict()

    @cached_property
    def db(self) -> Database:
        """The catalogue, for reading."""
        return open_database(self.home, read_only=True)

    @cached_property
    def writable(self) -> Database:
        """The catalogue, for what a person changes."""
        return open_database(self.home)

    def browse(self, name: str) -> tuple[Extraction, Browse]:
        """An extraction with its features, held open."""
        record = catalogue.extraction(self.db, name)
        with self._lock:
            found = self._open.get(record.id)
            if found is None:
                store = FeatureStore(self.home.artifact("extractions", record.id))
                found = Browse(self.db, record.id, store, strings_of(self.home, self.db, record))
                self._open[record.id] = found
            self._open.move_to_end(record.id)
            while len(self._open) > _OPEN:
                self._open.popitem(last=False)
        return record, found

    def close(self) -> None:
        """Let go of the catalogue."""
        for name in ("db", "writable"):
            if name in self.__dict__:
                self.__dict__.pop(name).close()


def now() -> str:
    """The time as records have it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _site(request: Request) -> Site:
    return request.app.state.site


TheSite = Annotated[Site, Depends(_site)]
