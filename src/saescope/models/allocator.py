"""Keep the memory that tensors free, so that the next forward need not ask the system for it again."""

import ctypes
import functools
import platform
import time

_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4


def give_back_memory() -> bool:
    """Return what is free right now to the system, after a large thing has gone; True where glibc did."""
    if platform.libc_ver()[0] != "glibc":
        return False
    try:
        return bool(ctypes.CDLL(None).malloc_trim(0))
    except (OSError, AttributeError):
        return False


class Tidy:
    """`give_back_memory` from time to time: what freed blocks are too small for, or nobody needs any more, adds up."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._last = seconds, time.monotonic()

    def __call__(self) -> None:
        """Give back, if the last time was so many seconds ago."""
        if time.monotonic() - self._last >= self._seconds:
            give_back_memory()
            self._last = time.monotonic()


@functools.cache
def keep_freed_memory() -> bool:
    """Ask glibc never to map or trim large blocks; True where it agreed, False on any other C library.

    A forward frees and allocates the same large tensors again and again; by default each goes back to the
    kernel and comes back as fresh zeroed pages. Call it once, before the first tensor.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
        return bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, 2**31 - 1))
    except (OSError, AttributeError):
        return False
