"""A real PostgreSQL on a free loopback port, where its programs are installed."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path


class Missing(Exception):
    """What a PostgreSQL of our own needs and is not here."""


class Postgresql:
    """A running server."""

    def __init__(self, programs: Path, folder: Path, port: int, user: list[str]) -> None:
        self._programs, self._folder, self._port, self._user = programs, folder, port, user
        self.address = f"postgresql://saescope@127.0.0.1:{port}"

    def fresh(self) -> str:
        """The address of an empty schema: much quicker to make and to clear away than a database."""
        import psycopg

        name = f"t{time.monotonic_ns()}"
        with psycopg.connect(f"{self.address}/postgres", autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {name}")
        return f"{self.address}/postgres?options=-csearch_path%3D{name}"

    def restart(self) -> None:
        """As after a crash: every connection is cut, what was not committed is gone."""
        self._control("-m", "immediate", "restart")

    def _control(self, *words: str) -> None:
        options = f"-h 127.0.0.1 -p {self._port} -k '' -c fsync=off -c log_min_messages=panic"
        place = ["-D", str(self._folder / "data"), "-l", str(self._folder / "log"), "-o", options]
        self._run("pg_ctl", *place, "-w", *words)

    def _run(self, program: str, *words: str) -> None:
        command = [*self._user, str(self._programs / program), *words]
        done = subprocess.run(command, cwd="/", capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@contextlib.contextmanager
def running() -> Iterator[Postgresql]:
    """A server for the time of a block; Missing says what is not installed."""
    programs = _programs()
    if programs is None:
        raise Missing("PostgreSQL's initdb is not installed")
    try:
        import psycopg  # noqa: F401
    except ImportError:
        raise Missing("psycopg is not installed") from None
    user: list[str] = []
    if os.geteuid() == 0:  # initdb refuses root
        if shutil.which("runuser") is None:
            raise Missing("initdb refuses root, and runuser is not installed")
        user = ["runuser", "-u", "nobody", "--"]
    # Not under pytest's own folder, which only its user may enter.
    folder = Path(tempfile.mkdtemp(prefix="saescope-postgresql-"))
    if user:
        shutil.chown(folder, "nobody")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = Postgresql(programs, folder, port, user)
    try:
        server._run(
            "initdb", "-D", str(folder / "data"), "-U", "saescope", "-A", "trust", "-E", "UTF8", "--no-sync"
        )  # fmt: skip
        server._control("start")
        try:
            yield server
        finally:
            server._control("-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None
