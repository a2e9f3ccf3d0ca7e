"""How the web process holds memory: what one request takes and gives back is there for the next, and for the system."""

import ctypes
import platform
import sys
from importlib.abc import MetaPathFinder

import pyarrow as pa

_M_ARENA_MAX = -8
_GLIBC = platform.libc_ver()[0] == "glibc"


class _NoPandas(MetaPathFinder):
    """Arrow loads pandas, where there is one, to see whether it is given something of it: 38 MB, for nothing here."""

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        if fullname == "pandas":
            raise ImportError("the web process needs no pandas")


def settle() -> None:
    """Take memory from two heaps for all threads, Arrow's too. Call it once, before the first thread.

    glibc gives every thread a heap of its own, and Arrow's own allocator holds what it once had: four threads that
    read an extraction held 300 MB more between them.
    """
    sys.meta_path.insert(0, _NoPandas())
    pa.set_memory_pool(pa.system_memory_pool())
    pa.set_cpu_count(1)
    if _GLIBC:
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 2)


def give_back() -> None:
    """Return to the system what is free right now, after something large was read."""
    if _GLIBC:
        ctypes.CDLL(None).malloc_trim(0)
