"""What memory there is on this machine, and what this process holds."""

from pathlib import Path

import psutil
import torch

_LIMITS = ("memory.max", "memory/memory.limit_in_bytes")
"""Where a container's limit stands, in versions 2 and 1 of Linux's control groups."""


def free_memory(device: torch.device | str) -> int:
    """Bytes that can still be taken: of the GPU, or of the machine within its container's limit."""
    if torch.device(device).type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return min(psutil.virtual_memory().available, max(0, _limit(Path("/sys/fs/cgroup")) - resident_memory()))


def _limit(groups: Path) -> int:
    """The container's limit in bytes; a very large number where none is set."""
    for name in _LIMITS:
        try:
            return int((groups / name).read_text())
        except (OSError, ValueError):  # no such file, or "max"
            continue
    return 2**62


def resident_memory() -> int:
    """Bytes this process holds now."""
    return psutil.Process().memory_info().rss
