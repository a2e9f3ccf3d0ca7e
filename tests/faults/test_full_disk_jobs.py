"""A disk that fills up where an extraction writes: the job waits with the reason, and goes on when there is room.

On a small tmpfs, where one may be mounted (root).
"""

import contextlib
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from saescope import faults
from saescope.extraction import sweep
from saescope.home import Home
from saescope.jobs import extract_features
from saescope.jobs.context import Context
from saescope.jobs.worker import Worker
from saescope.store import jobs, open_database
from saescope.studio import Studio
from support.working import extract, orphans, prepared, queue, result, same

SITES = {
    "the rows of tokens": ("claim.committed", 1),
    "the first saved state": ("extract.block", 1),
    "a later saved state": ("extract.block", 4),
    "the facts of the SAE": ("extract.swept", 1),
    "the tables": ("making.renamed", 2),
    "the catalogue": ("making.renamed", 3),
    (LAST := "the job's last write"): ("end.writing", 1),
}
"""What is written first after some passing of a point."""


@pytest.fixture(scope="module", autouse=True)
def small_blocks() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sweep, "BLOCK_TOKENS", 16 * 40)
        patched.setattr(extract_features, "save_interval", lambda cost: 0.0)
        patched.setattr(jobs, "BEAT_SECONDS", 0.1)
        patched.setattr(jobs, "PAUSE_SECONDS", 1.0)
        yield


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, Home]:
    """One with an extraction that had room, and one without it."""
    folder = tmp_path_factory.mktemp("room")
    undisturbed = prepared(folder, {"text": 300})
    shutil.rmtree(undisturbed.artifacts / "tokens")
    fresh = Home(shutil.copytree(undisturbed.root, folder / "fresh"))
    with Studio(undisturbed) as studio:
        studio.run(extract("x", "text"))
    return undisturbed, fresh


class Disk:
    """A file system of 64 MB, and what fills it up."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.filler, self.full = folder, folder / "filler", threading.Event()

    def fill(self, home: Home, log: bool) -> None:
        """No byte is left; log: nor room in the database's log, which may not be in use."""
        if log:
            with open_database(home) as db, db.reading() as connection:
                connection.exec_driver_sql("COMMIT")
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
                connection.exec_driver_sql("BEGIN")
        with contextlib.suppress(OSError), open(self.filler, "wb", buffering=0) as file:
            while True:
                file.write(bytes(1 << 16))
        with contextlib.suppress(OSError), open(self.filler, "ab", buffering=0) as file:
            while True:
                file.write(b"x")
        self.full.set()

    def free(self) -> None:
        self.filler.unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no tmpfs may be mounted here")
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("site", SITES)
def test_an_extraction_waits_for_room_and_goes_on(
    site: str, homes: tuple[Home, Home], disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed, fresh = homes
    home = Home(shutil.copytree(fresh.root, disk.folder / "home"))
    id = queue(home, extract("x", "text"))
    point, left = SITES[site]

    def passing(name: str) -> None:
        nonlocal left
        if name == point:
            left -= 1
            if left == 0:
                disk.fill(home, log=not point.endswith(".writing"))

    monkeypatch.setattr(faults, "point", passing)
    with open_database(home) as db:
        worker = Worker(Context(home, db))
        threads = worker.start()
        try:
            until(disk.full.is_set)
            seen = [watch(db, id, lambda job: job.error is not None, seconds=3)]  # where the row can be written
            disk.free()
            seen.append(watch(db, id, lambda job: job.error is not None or job.over, seconds=40))
            over = watch(db, id, lambda job: job.over, seconds=60)
        finally:
            worker.going.set()
            for thread in threads:
                thread.join(20)
        if site == LAST:  # it is written as soon as it can be, without another start
            assert (seen[0].state, over.attempt) == ("running", 1)
        else:
            waited = next(job for job in seen if job.error is not None)
            assert (waited.state, waited.error["kind"], waited.stalls) == ("queued", "no_space", 0)
            assert "no space left" in waited.error["message"]
        assert (over.state, over.error) == ("succeeded", None)
        with db.reading() as connection:
            assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
    assert same(result(home, "x"), result(undisturbed, "x"))
    assert [made["name"] for made in over.made] == ["x"]
    assert orphans(home) == []


def watch(db: Any, id: str, true: Any, seconds: float) -> Any:
    """The job when that holds, or after so many seconds."""
    until_then = time.monotonic() + seconds
    while not true(job := jobs.job(db, id)) and time.monotonic() < until_then:
        time.sleep(0.02)
    return job


def until(true: Any, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.02)
