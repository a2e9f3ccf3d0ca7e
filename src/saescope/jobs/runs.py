"""The saved state of runs that can be resumed: a folder in `work/` for each, and one process that may write there.

    work/NAME/          what a run has saved; NAME is made of all that decides it
    work/NAME/job       the job it was last carried out for
    work/NAME.lock      held by the process that carries it out
    work/NAME.3/ …      the same run, taken over by the third start of its job from a process that is frozen

A frozen process may wake in the middle of a write. Whoever takes its job over renames the folder first: what the other
writes afterwards is not in it.
"""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from .. import faults
from ..errors import WrongRequest
from ..home import RUN_OF, Home, is_held, job_of, only_owner
from ..records import Job
from ..store import jobs
from ..store.database import Database


class Runs:
    """The runs of one job, or of a caller that has none."""

    def __init__(self, work: Path, job: Job | None = None) -> None:
        self._work, self._job = work, job
        self._places: dict[str, Path] = {}

    def folder(self, name: str) -> Path:
        """Where the state of a run is, or will be."""
        if name not in self._places:
            usual = self._work / name
            frozen = is_held(_lock(usual)) and any(self._is_ours(place) for place in self._all(name))
            self._places[name] = usual.with_name(f"{name}.{self._job.attempt}") if frozen and self._job else usual
        return self._places[name]

    @contextlib.contextmanager
    def owning(self, name: str) -> Iterator[None]:
        """Be the only process with this run for the time of a block; WrongRequest when another has it."""
        folder = self.folder(name)
        with only_owner(_lock(folder)) as alone:
            if not alone:
                raise WrongRequest(
                    "this very run is under way in another process", "wait for it, or stop it and go on with it here"
                )
            self._take_over(name, folder)
            folder.mkdir(exist_ok=True)
            (folder / RUN_OF).write_text(self._job.id if self._job else "")
            try:
                yield
            finally:
                if _is_bare(folder):
                    shutil.rmtree(folder, ignore_errors=True)

    def clear(self, name: str) -> None:
        """Remove a run's state, wherever it was begun."""
        faults.point("work.clearing")
        for folder in [self.folder(name), *self._elsewhere(name)]:
            shutil.rmtree(folder, ignore_errors=True)

    def _take_over(self, name: str, folder: Path) -> None:
        """Go on from what another start of this run saved last, where that was in another folder."""
        others = self._elsewhere(name)
        if others and not folder.exists():
            with contextlib.suppress(FileNotFoundError):
                others[-1].rename(folder)

    def _elsewhere(self, name: str) -> list[Path]:
        """Other folders of a run, the oldest first, without those of another job that is under way."""
        found = [each for each in self._all(name) if each.is_dir() and each != self.folder(name)]
        free = [each for each in found if self._is_ours(each) or not is_held(_lock(each))]
        return sorted(free, key=lambda each: int(each.suffix[1:] or 0))

    def _all(self, name: str) -> list[Path]:
        return [self._work / name, *self._work.glob(f"{name}.[0-9]*")]

    def _is_ours(self, folder: Path) -> bool:
        return self._job is not None and job_of(folder) == self._job.id


def _is_bare(folder: Path) -> bool:
    """Whether nothing was saved in a folder, or it was taken away and this one is what came after."""
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return RUN_OF not in names or names == [RUN_OF]


def remove(folder: Path) -> None:
    """Remove a run's state unless it is under way."""
    with only_owner(_lock(folder)) as alone:
        if alone:
            shutil.rmtree(folder, ignore_errors=True)


def remove_without_jobs(home: Home, db: Database) -> None:
    """Remove the state of runs whose job is not in the table any more."""
    folders = {folder: job for folder in home.work.iterdir() if (job := job_of(folder))}
    there = jobs.which(db, set(folders.values()))
    for folder, job in folders.items():
        if job not in there:
            remove(folder)


def _lock(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")
