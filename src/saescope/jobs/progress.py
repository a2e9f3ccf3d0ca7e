"""From what a verb tells to what a job's row says: one unit, a rate and the time that is left."""

import time
from typing import Any

from ..records import Progress
from .memory import resident_memory

_SETTLED = 2.0
"""Seconds into a phase before its rate is worth saying."""


class Meter:
    """Follows one job. Cheap enough to be told of every batch."""

    def __init__(self) -> None:
        self._last: Progress | None = None
        self._phase, self._began, self._from = "", 0.0, 0.0

    def __call__(self, progress: Progress) -> None:
        if progress.phase != self._phase:
            self._phase, self._began, self._from = progress.phase, time.monotonic(), progress.done
        self._last = progress

    def now(self) -> dict[str, Any] | None:
        """The row's progress; None where nothing has been told yet."""
        last = self._last
        if last is None:
            return None
        elapsed = time.monotonic() - self._began
        rate = (last.done - self._from) / elapsed if elapsed > _SETTLED and last.done > self._from else None
        left = (last.total - last.done) / rate if rate and last.total is not None else None
        return last.to_json() | {"rate": rate, "seconds_left": left, "memory_bytes": resident_memory()}
