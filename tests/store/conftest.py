"""A home per test, and a real PostgreSQL where its programs are installed."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from saescope.home import Home
from saescope.records import Extraction
from saescope.store import Database, catalogue, open_database
from support.catalogue import a_dataset, a_model, an_extraction, an_sae


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.delenv("SAESCOPE_DATABASE_URL", raising=False)
    return Home(tmp_path / "home")


def _postgresql_programs() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The address of a real PostgreSQL server, started for these tests on a free loopback port."""
    programs = _postgresql_programs()
    if programs is None:
        pytest.skip("PostgreSQL's initdb is not installed")
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    user: list[str] = []
    if os.geteuid() == 0:  # initdb refuses root
        if shutil.which("runuser") is None:
            pytest.skip("initdb refuses root, and runuser is not installed")
        user = ["runuser", "-u", "nobody", "--"]
    # Not under pytest's own folder, which only its user may enter.
    folder = Path(tempfile.mkdtemp(prefix="saescope-postgresql-"))
    data = folder / "data"
    if user:
        shutil.chown(folder, "nobody")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def run(*command: str) -> None:
        done = subprocess.run([*user, *command], cwd="/", capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    run(str(programs / "initdb"), "-D", str(data), "-U", "saescope", "-A", "trust", "-E", "UTF8", "--no-sync")
    options = f"-h 127.0.0.1 -p {port} -k '' -c fsync=off -c log_min_messages=panic"
    run(str(programs / "pg_ctl"), "-D", str(data), "-o", options, "-l", str(folder / "log"), "-w", "start")
    try:
        yield f"postgresql://saescope@127.0.0.1:{port}"
    finally:
        run(str(programs / "pg_ctl"), "-D", str(data), "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgresql_database(postgresql: str) -> str:
    """The address of a fresh, empty schema: much quicker to make and to clear away than a database."""
    import psycopg

    name = f"t{time.monotonic_ns()}"
    with psycopg.connect(f"{postgresql}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {name}")
    return f"{postgresql}/postgres?options=-csearch_path%3D{name}"


@pytest.fixture(params=["sqlite", "postgresql"])
def any_home(request: pytest.FixtureRequest, home: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home with its catalogue on SQLite, then one with it on PostgreSQL: the same tests hold for both."""
    if request.param == "postgresql":
        monkeypatch.setenv("SAESCOPE_DATABASE_URL", request.getfixturevalue("postgresql_database"))
    return home


@pytest.fixture
def db(any_home: Home) -> Iterator[Database]:
    with open_database(any_home) as database:
        yield database


@pytest.fixture
def extraction(db: Database) -> Extraction:
    """An extraction in the catalogue, with all that it was made of."""
    record = an_extraction()
    catalogue.add_dataset(db, a_dataset())
    catalogue.add_model(db, a_model())
    catalogue.add_sae(db, an_sae())
    catalogue.add_extraction(db, record)
    return record
