"""Where files live, and the one reader of the environment.

    home/
      studio.db           the catalogue (unless SAESCOPE_DATABASE_URL says otherwise)
      artifacts/          whole things only: datasets/ID, models/ID, saes/ID, extractions/ID, tokens/HASH
      work/               things in the making, and the state of runs that can be resumed
      keys/               keys of LLM servers, for the owner's eyes alone

Paths are made of our own ids, never of a user's string. A thing is made in `work/`, synced, and renamed into
`artifacts/`: it is there whole or not at all.
"""

import contextlib
import errno
import os
import re
import secrets
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from . import faults
from .errors import NoSpace, WrongRequest

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class Home:
    """A studio's folder."""

    def __init__(self, root: str | os.PathLike[str] | None = None) -> None:
        chosen = root or os.environ.get("SAESCOPE_HOME") or _default_root()
        self.root = Path(os.path.expanduser(chosen)).resolve()
        try:
            self.artifacts.mkdir(parents=True, exist_ok=True)
            self.work.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WrongRequest(
                f"home {str(self.root)!r} cannot be used: {error.strerror}", "give another folder with --home"
            ) from None

    @property
    def artifacts(self) -> Path:
        return self.root / "artifacts"

    @property
    def work(self) -> Path:
        return self.root / "work"

    @property
    def keys(self) -> Path:
        return self.root / "keys"

    @staticmethod
    def variable(name: str) -> str | None:
        """What a variable of the environment holds, None where it is not set: the key of a server."""
        return os.environ.get(name) or None

    @property
    def database_url(self) -> str | None:
        """The catalogue's address when it is not the home's own SQLite file."""
        return os.environ.get("SAESCOPE_DATABASE_URL") or None

    @property
    def database_file(self) -> Path:
        return self.root / "studio.db"

    def artifact(self, kind: str, id: str) -> Path:
        """The folder of one whole thing: kind is datasets, models, saes, extractions or tokens."""
        return self.artifacts / kind / id

    @contextlib.contextmanager
    def making(self, kind: str, id: str) -> Iterator[Path]:
        """A fresh folder that becomes `artifact(kind, id)` when the block ends well, and nothing otherwise.

        Where another process has made the same thing meanwhile, that one stays. A draft whose lock nobody holds is
        of a process that was killed.
        """
        draft = self.work / f"{kind}-{id}-{secrets.token_hex(4)}"
        final = self.artifact(kind, id)
        try:
            with only_owner(draft.with_name(f"{draft.name}.lock")):
                try:
                    draft.mkdir(parents=True)
                    yield draft
                    faults.point("making.written")
                    sync_tree(draft)
                    faults.point("making.synced")
                    final.parent.mkdir(parents=True, exist_ok=True)
                    _put(draft, final)
                    faults.point("making.renamed")
                    sync_folder(final.parent)
                finally:
                    shutil.rmtree(draft, ignore_errors=True)
        except Exception as error:
            if full := no_space(error, self.root):
                raise full from None
            raise

    def discard(self, kind: str, id: str) -> None:
        """Remove a whole thing: out of sight first, then from the disk."""
        grave = self.work / f"removed-{id}-{secrets.token_hex(4)}"
        with contextlib.suppress(FileNotFoundError):
            self.artifact(kind, id).rename(grave)
        shutil.rmtree(grave, ignore_errors=True)


RUN_OF = "job"
"""The file in a run's folder in `work/` that names the job it was last carried out for."""


def job_of(folder: Path) -> str | None:
    """The job that a run's folder was last used for; None where it is no such folder."""
    try:
        return (folder / RUN_OF).read_text()
    except OSError:
        return None


def runs_of(work: Path, job: str) -> list[Path]:
    """The folders that a job's runs save their state in."""
    return [folder for folder in sorted(work.iterdir()) if job_of(folder) == job]


def _put(draft: Path, final: Path) -> None:
    """Rename into place, unless the place is taken: equal ids hold equal things."""
    try:
        draft.rename(final)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise


def _default_root() -> str:
    from platformdirs import user_data_dir

    return user_data_dir("saescope")


_last = 0
_one_at_a_time = threading.Lock()


def new_id() -> str:
    """A ULID: 26 characters, ordered by time of making; of one process, strictly."""
    global _last
    with _one_at_a_time:
        _last = number = max((int(time.time() * 1000) << 80) | secrets.randbits(80), _last + 1)
    return "".join(_CROCKFORD[(number >> shift) & 31] for shift in range(125, -1, -5))


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def no_space(error: Exception, where: Path) -> NoSpace | None:
    """The clear line for a full disk, or None when the error is another one.

    safetensors raises an error of its own, with the system's number in its text.
    """
    said = re.search(r"\(os error (\d+)\)", str(error))
    number = error.errno if isinstance(error, OSError) else int(said[1]) if said else None
    if number not in _FULL:
        return None
    return NoSpace(f"no space left under {str(where)!r}", "free some space, or give another folder with --home")


def write_whole(path: Path, data: bytes) -> None:
    """Write a file beside its place, sync it, rename it: the old content or the new, never a part."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with open(draft, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        faults.point("whole.written")
        draft.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise no_space(error, path.parent) or error from None
    finally:
        draft.unlink(missing_ok=True)


def sync_tree(folder: Path) -> None:
    """Force every file below a folder, and the folders, to the disk."""
    for path in sorted(folder.rglob("*")):
        sync_folder(path)
    sync_folder(folder)


def sync_folder(path: Path) -> None:
    """fsync one file or folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def only_owner(lock: Path) -> Iterator[bool]:
    """Hold a lock file for the time of a block; False when another process holds it. It is gone afterwards."""
    with locked(lock) as alone:
        try:
            yield alone
        finally:
            if alone:
                lock.unlink(missing_ok=True)


@contextlib.contextmanager
def locked(lock: Path) -> Iterator[bool]:
    """Hold a lock file for the time of a block; False when another process holds it. It stays where it is."""
    try:
        import fcntl
    except ImportError:  # Windows: no lock, as before
        yield True
        return
    tries = 3  # `is_held` holds it too, for a moment
    while True:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(handle)
            if tries := tries - 1:
                time.sleep(0.01)
                continue
            yield False
            return
        with contextlib.suppress(FileNotFoundError):
            if os.stat(lock).st_ino == os.fstat(handle).st_ino:
                break
        os.close(handle)  # the one before us removed the file between our opening and locking it
    try:
        yield True
    finally:
        os.close(handle)


def is_held(lock: Path) -> bool:
    """Whether a process holds a lock file, this one included."""
    try:
        import fcntl

        with open(lock) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except (ImportError, FileNotFoundError):
        return False
    return False
