"""Who serves a home: a lock file per worker, held as long as its process lives. Loads no torch."""

import contextlib
from collections.abc import Iterator

from ..errors import WrongRequest
from ..home import Home

_LOCK = "worker.lock"


def served(home: Home) -> bool:
    """Whether a worker serves this home now."""
    return any(_held(path) for path in home.root.glob("worker*.lock"))


@contextlib.contextmanager
def serving(home: Home, slot: int = 0) -> Iterator[None]:
    """Be the home's worker for the time of a block; WrongRequest where another is.

    slot: where a PostgreSQL lets several workers serve. The file stays when the block ends: whoever locks it next is
    sure to lock the same one.
    """
    import fcntl

    path = home.root / (_LOCK if not slot else f"worker-{slot}.lock")
    with open(path, "a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise WrongRequest(
                f"home {str(home.root)!r} is already served by another process",
                "stop that one first, give another --home, or use PostgreSQL (SAESCOPE_DATABASE_URL)",
            ) from None
        yield


def _held(path: object) -> bool:
    import fcntl

    with open(str(path), "a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False
