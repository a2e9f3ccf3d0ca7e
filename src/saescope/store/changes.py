"""Whether the catalogue was written since, asked so cheaply that every request can."""

import threading
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from .database import Database
from .sqlite import sqlite_library

T = TypeVar("T")


class Kept:
    """What was read of the catalogue, kept until anybody writes to it. Threads may share it."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._lock = threading.Lock()
        self._asking: Any = None
        self._moment: Hashable = None
        self._values: dict[Hashable, Any] = {}

    def get(self, key: Hashable, read: Callable[[], T]) -> T:
        """The value of a key, read where it is not there or something was written since."""
        with self._lock:
            moment = self._now()
            if moment != self._moment:
                self._moment, self._values = moment, {}
            elif key in self._values:
                return self._values[key]
        value = read()
        with self._lock:
            if moment == self._moment:
                self._values[key] = value
        return value

    def close(self) -> None:
        """Give the connection back."""
        with self._lock:
            if self._asking is not None:
                self._asking.close()
                self._asking = None

    def _now(self) -> Hashable:
        """Another value after each commit of anybody's.

        sqlite.org/pragma.html#pragma_data_version, on one connection: it tells nothing from one to the next.
        PostgreSQL's snapshot names the transactions that are still open: a commit is one of them fewer.
        """
        if self._db.engine.dialect.name == "postgresql":
            with self._db.reading() as connection:
                return connection.exec_driver_sql("SELECT pg_current_snapshot()::text").scalar()
        try:
            if self._asking is None:
                self._asking = self._db.engine.raw_connection()
            return self._asking.cursor().execute("PRAGMA data_version").fetchone()[0]
        except sqlite_library().Error:
            return object()  # nothing is kept: what is read next says what is wrong
