"""How much memory a piece of work takes at its peak, by the tensors it makes."""

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_UNSEEN = 2.0
"""What is counted is doubled: a sort's buffers and a compiled loop's arrays are no tensors, and are not seen."""


def peak_bytes(work: Callable[[], object], device: torch.device | str) -> int:
    """Bytes that `work` adds to what is held, at its peak: by the allocator on CUDA, by tensors made elsewhere."""
    if torch.device(device).type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        work()
        return torch.cuda.max_memory_allocated(device) - before
    meter = _Meter()
    with meter:
        work()
    return int(meter.peak * _UNSEEN)


class _Meter(TorchDispatchMode):
    """Adds up the storages that operations make, and takes off those that go."""

    def __init__(self) -> None:
        super().__init__()
        self.held = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        given = {_storage(t)._cdata for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)}
        made = func(*args, **kwargs)
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor) and _storage(tensor)._cdata not in given | self._known:
                self._take(_storage(tensor))
        return made

    def _take(self, storage: torch.UntypedStorage) -> None:
        size = storage.nbytes()
        self._known.add(storage._cdata)
        self.held += size
        self.peak = max(self.peak, self.held)
        weakref.finalize(storage, self._release, storage._cdata, size)

    def _release(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.held -= size


def _storage(tensor: Tensor) -> torch.UntypedStorage:
    return tensor.untyped_storage()
