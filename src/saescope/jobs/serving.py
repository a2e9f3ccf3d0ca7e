"""Who serves a home: lock files, held as long as their process lives. Loads no torch.

    server.lock, server-1.lock …     `saescope serve`, by slot: one on SQLite, several on PostgreSQL
    worker.lock, worker-1.lock …     the worker that it started

A file stays when its process ends: whoever locks it next is sure to lock the same one.
"""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from ..errors import WrongRequest
from ..home import Home, is_held, locked

_SLOTS = 16


def served(home: Home) -> bool:
    """Whether this home is served now, also while its worker is being started again."""
    return any(is_held(path) for kind in ("server", "worker") for path in home.root.glob(f"{kind}*.lock"))


@contextlib.contextmanager
def supervising(home: Home) -> Iterator[int]:
    """Be one of the home's servers for the time of a block: its slot. WrongRequest where there is no room for it."""
    for slot in range(1 if home.database_url is None else _SLOTS):
        with locked(_lock(home, "server", slot)) as alone:
            if alone:
                yield slot
                return
    raise _served_already(home)


@contextlib.contextmanager
def serving(home: Home, slot: int = 0, patience: float = 0.0) -> Iterator[None]:
    """Be a worker of the home for the time of a block; WrongRequest where another still is after `patience` seconds."""
    until = time.monotonic() + patience
    while True:
        with locked(_lock(home, "worker", slot)) as alone:
            if alone:
                yield
                return
        if time.monotonic() > until:
            raise _served_already(home)
        time.sleep(0.1)


def _served_already(home: Home) -> WrongRequest:
    return WrongRequest(
        f"home {str(home.root)!r} is already served by another process",
        "stop that one first, give another --home, or use PostgreSQL (SAESCOPE_DATABASE_URL)",
    )


def _lock(home: Home, kind: str, slot: int) -> Path:
    return home.root / (f"{kind}-{slot}.lock" if slot else f"{kind}.lock")
