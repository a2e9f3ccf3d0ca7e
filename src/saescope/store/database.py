"""Opening the catalogue: SQLite in the home, or PostgreSQL where SAESCOPE_DATABASE_URL says so.

Every transaction is explicit: `reading()` sees one moment, `writing()` holds the write lock from its first
statement, so that what was checked is still true when it is written.
"""

import contextlib
import json
import math
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event, exc
from sqlalchemy.pool import QueuePool

from ..errors import BadValue, BrokenHome, NoSpace, StudioError, Unreachable, WrongRequest
from ..home import Home
from . import schema, sqlite

IDLE_SECONDS = 30.0
"""How long a transaction on PostgreSQL may wait for its process, before it is given up with the rows it holds."""


class Database:
    """An open catalogue; thread-safe, and closed with `close()` or a `with` block."""

    def __init__(self, engine: sa.Engine, place: str, *, read_only: bool) -> None:
        self.engine = engine
        self.place = place
        """The file, or the server's address without its password: for messages."""
        self.read_only = read_only

    @contextlib.contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A transaction that sees one moment of the catalogue."""
        with self._translated(), self.engine.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction that holds SQLite's write lock from the start, committed when the block ends well."""
        if self.read_only:
            raise WrongRequest(f"the catalogue {self.place} is open for reading only", "open it for writing")
        with self._translated(), self.engine.connect() as connection:
            connection = connection.execution_options(saescope_writing=True)
            with connection.begin():
                yield connection

    def close(self) -> None:
        """Give back every connection."""
        self.engine.dispose()

    def __enter__(self) -> "Database":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn a driver's error into the line a person can act on, where there is one."""
        try:
            yield
        except exc.IntegrityError:
            raise
        except exc.DBAPIError as error:
            raise _clear_error(error, self.place) or error from None


def open_database(home: Home, *, read_only: bool = False) -> Database:
    """Open a home's catalogue, made or brought up to date first where needed.

    Raises BrokenHome for a file that is no catalogue or one that a newer saescope wrote, BadValue or
    Unreachable for an address that does not lead to a PostgreSQL server.
    """
    database = _connect(home, read_only=False)
    try:
        with database.reading() as connection:
            revision = _revision(connection, database.place)
        if revision != schema.REVISION:
            _bring_up_to_date(database)
    except BaseException:
        database.close()
        raise
    if not read_only:
        return database
    database.close()
    return _connect(home, read_only=True)


def in_order(connection: sa.Connection) -> None:
    """Have the numbers of rows grow in the order of commits: whoever asks for those after a number misses none.

    SQLite has one writer anyway. On PostgreSQL a transaction may take its numbers first and commit last.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": schema.LOCK_KEY + 1})


def _connect(home: Home, *, read_only: bool) -> Database:
    url = home.database_url
    if url is not None:
        return _postgresql(url, read_only=read_only)
    file = home.database_file
    engine = sa.create_engine(
        "sqlite://",
        creator=lambda: sqlite.connect(file, read_only=read_only),
        module=sqlite.sqlite_library(),
        poolclass=QueuePool,
        json_serializer=_to_json,
    )

    @event.listens_for(engine, "begin")
    def _(connection: sa.Connection) -> None:
        writing = connection.get_execution_options().get("saescope_writing", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

    return Database(engine, repr(str(file)), read_only=read_only)


def _postgresql(address: str, *, read_only: bool) -> Database:
    try:
        url = sa.make_url(address)
    except (exc.ArgumentError, ValueError):
        raise BadValue("SAESCOPE_DATABASE_URL is not an address", _ADDRESS_HINT) from None
    if url.drivername not in ("postgresql", "postgres", "postgresql+psycopg"):
        raise BadValue(f"SAESCOPE_DATABASE_URL begins with {url.drivername!r}, not with 'postgresql'", _ADDRESS_HINT)
    try:
        import psycopg  # noqa: F401
    except ImportError:
        raise BadValue(
            "SAESCOPE_DATABASE_URL asks for PostgreSQL, but its driver psycopg is not installed",
            "pip install 'saescope[postgres]', or unset SAESCOPE_DATABASE_URL",
        ) from None
    engine = sa.create_engine(
        url.set(drivername="postgresql+psycopg"),
        json_serializer=_to_json,
        pool_pre_ping=True,
        connect_args={"connect_timeout": 10},
        execution_options={"postgresql_readonly": read_only},
    )

    @event.listens_for(engine, "connect")
    def _(connection: Any, record: Any) -> None:
        with connection.cursor() as cursor:  # frozen in a transaction, it would hold up others
            cursor.execute(f"SET idle_in_transaction_session_timeout = {int(1000 * IDLE_SECONDS)}")
        connection.commit()

    return Database(engine, url.render_as_string(hide_password=True), read_only=read_only)


_ADDRESS_HINT = "write postgresql://USER@HOST:PORT/DATABASE, or unset it to use the home's own SQLite file"


def _revision(connection: sa.Connection, place: str) -> str | None:
    """The catalogue's revision; None when it is still empty."""
    tables = connection.exec_driver_sql(
        "SELECT name FROM sqlite_master WHERE type = 'table'"
        if connection.dialect.name == "sqlite"
        else "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
    ).scalars()
    present = set(tables)
    if schema.VERSION_TABLE in present:
        return connection.exec_driver_sql(f"SELECT version_num FROM {schema.VERSION_TABLE}").scalar()
    if present and connection.dialect.name == "sqlite":
        raise BrokenHome(
            f"{place} is a database, but not a catalogue of saescope", "move it away, or give another --home"
        )
    return None


def _bring_up_to_date(database: Database) -> None:
    """Migrate under a lock: of several processes that open a fresh home, one does it and the others wait."""
    with database.writing() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": schema.LOCK_KEY})
        revision = _revision(connection, database.place)
        if revision == schema.REVISION:
            return
        if revision is not None and revision > schema.REVISION:
            raise BrokenHome(
                f"{database.place} has revision {revision}, this saescope knows up to {schema.REVISION}",
                "it was written by a newer saescope: pip install --upgrade saescope",
            )
        from .migrations.run import upgrade

        upgrade(connection)


def _clear_error(error: exc.DBAPIError, place: str) -> StudioError | None:
    text = str(error.orig).strip()
    first_line = text.splitlines()[0] if text else type(error.orig).__name__
    if "not a database" in text or "malformed" in text:
        return BrokenHome(
            f"{place} is not a whole database: {first_line}", "restore it from a copy, or give another --home"
        )
    if "disk is full" in text or "No space left" in text:
        return NoSpace(f"no space left for {place}", "free some space, or give another folder with --home")
    if "disk I/O error" in text:
        return BrokenHome(f"{place} cannot be read or written: {first_line}", "look after the disk, then try again")
    if "database is locked" in text:
        return WrongRequest(f"{place} has been locked by another process for 30 s", "try again when that has ended")
    if "unable to open" in text or "readonly database" in text:
        return WrongRequest(f"{place} cannot be opened: {first_line}", "check its permissions, or give another --home")
    if error.connection_invalidated or "connection failed" in text or "connection timeout" in text:
        return Unreachable(f"{place} does not answer: {first_line}", "check SAESCOPE_DATABASE_URL, and that it runs")
    return None


def _to_json(value: Any) -> str:
    """JSON that both databases take: no NaN or infinity, which become null, and no half of a surrogate pair."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except ValueError:
        text = json.dumps(_without_nan(value), ensure_ascii=False)
    return text.encode("utf-8", "replace").decode("utf-8")


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
