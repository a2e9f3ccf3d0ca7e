"""Which SQLite library to use, how it journals, and what to tell a person about it.

SQLite 3.7.0 to 3.51.2 can corrupt a write-ahead log that two connections share (fixed in 3.51.3, and in the
back-ports 3.50.7 and 3.44.6): exactly a worker that writes while a web server reads. With such a library the
catalogue keeps a rollback journal: correct, but readers and the writer wait for each other.
"""

import sqlite3
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import quote

from ..records import Record

BUSY_MILLISECONDS = 30_000

_FIXED = (3, 51, 3)
_BACK_PORTS = {(3, 50): 7, (3, 44): 6}
_FIRST_WITH_WAL = (3, 7, 0)


@dataclass(frozen=True)
class SqliteStatus(Record):
    """The SQLite that a home's catalogue would be opened with."""

    version: str
    library: str
    """pysqlite3, or sqlite3 for Python's own."""
    safe: bool
    """Whether two connections may share a write-ahead log."""
    journal_mode: str
    """WAL, or TRUNCATE where the library is not safe."""
    message: str


def sqlite_status() -> SqliteStatus:
    """What `saescope doctor` says about SQLite; opens nothing."""
    library = sqlite_library()
    name = "pysqlite3" if library.__name__.startswith("pysqlite3") else "sqlite3"
    version = library.sqlite_version
    if wal_is_safe(library.sqlite_version_info):
        return SqliteStatus(version, name, True, "WAL", f"SQLite {version} ({name}): write-ahead log")
    return SqliteStatus(
        version,
        name,
        False,
        "TRUNCATE",
        f"SQLite {version} ({name}) can corrupt a write-ahead log that two processes share, so the slower "
        "rollback journal is used; `pip install pysqlite3` brings a fixed SQLite",
    )


def wal_is_safe(version: tuple[int, ...]) -> bool:
    """Whether this SQLite version is free of the WAL-reset defect."""
    if version < _FIRST_WITH_WAL:
        return False
    return version >= _FIXED or version[2] >= _BACK_PORTS.get((version[0], version[1]), 1 << 30)


@cache
def sqlite_library() -> ModuleType:
    """pysqlite3 when it is installed, else Python's own sqlite3; a safe one before an unsafe one."""
    try:
        from pysqlite3 import dbapi2 as bundled
    except ImportError:
        return sqlite3
    if wal_is_safe(sqlite3.sqlite_version_info) and not wal_is_safe(bundled.sqlite_version_info):
        return sqlite3
    return bundled


def connect(file: Path, *, read_only: bool) -> Any:
    """A DB-API connection that begins no transaction on its own: `database.py` says when."""
    library = sqlite_library()
    uri = f"file:{quote(str(file))}?mode={'ro' if read_only else 'rwc'}"
    connection = library.connect(
        uri, uri=True, timeout=BUSY_MILLISECONDS / 1000, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = FULL")
        if read_only:
            connection.execute("PRAGMA query_only = ON")
        else:
            _set_journal(connection, sqlite_status().journal_mode)
    except BaseException:
        connection.close()
        raise
    return connection


def _set_journal(connection: Any, wanted: str) -> None:
    """Switch the file's journal where it differs.

    SQLite gives up at once, without its busy timeout, when another connection stands in the way.
    """
    deadline = time.monotonic() + BUSY_MILLISECONDS / 1000
    while True:
        try:
            current = connection.execute("PRAGMA journal_mode").fetchone()[0]
            if current.upper() != wanted:
                connection.execute(f"PRAGMA journal_mode = {wanted}")
            return
        except sqlite_library().OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
