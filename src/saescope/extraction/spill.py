"""Arrays that may be larger than memory: beyond a budget they lie in a file, of which the system holds what fits.

The file has no name, so nothing is left of it when the process ends, however it ends. Its space is taken when it is
made: a disk that fills up later cannot stop the run.
"""

import contextlib
import mmap
import os
import tempfile
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np

from ..home import no_space


@dataclass
class Spill:
    """What arrays may still take of memory, and the folder for those that do not fit."""

    memory: int
    """Bytes left."""
    folder: Path

    def array(self, shape: tuple[int, ...]) -> tuple[np.ndarray, mmap.mmap | None]:
        """Room for int32 numbers, not set to anything, and the mapped file it lies in if it does not fit into memory.

        Raises NoSpace when the disk has no room either.
        """
        size = 4 * prod(shape)
        if size <= self.memory:
            self.memory -= size
            return np.empty(shape, dtype=np.int32), None
        file = _mapped(self.folder, size)
        return np.frombuffer(file, dtype=np.int32).reshape(shape), file


def _mapped(folder: Path, size: int) -> mmap.mmap:
    """A file of some size without a name, in memory as far as the system has room."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            else:
                file.truncate(size)
            mapped = mmap.mmap(file.fileno(), size)
    except OSError as error:
        raise no_space(error, folder) or error from None
    _advise(mapped, "MADV_RANDOM")  # a row written must not draw in the pages around it
    return mapped


def read_ahead(mapped: mmap.mmap, low: int, high: int) -> None:
    """Have the bytes from low to high read from the disk, all at once and not page by page."""
    low -= low % mmap.PAGESIZE
    if high > low:
        _advise(mapped, "MADV_WILLNEED", low, high - low)


def _advise(mapped: mmap.mmap, how: str, *where: int) -> None:
    with contextlib.suppress(AttributeError, OSError):  # advice that not every system takes
        mapped.madvise(getattr(mmap, how), *where)
