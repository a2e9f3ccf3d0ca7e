"""The most memory this process has held."""

import resource
import sys


def peak_memory() -> int:
    """Peak resident memory in bytes, from the start of the process: the kernel counts no finer."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
