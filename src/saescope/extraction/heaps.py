"""What `Ranked` keeps, in heaps that compiled loops fill: one block of memory, bounded by features × k from the start.

The pages of features that never fire are never touched. Of each row that has a payload, start, strongest positions
and window lie side by side; its peak is the first of those positions, and its activation stands in the window there.
"""

import numpy as np
import torch

from . import kernels
from .ranked import Rows
from .spill import Spill, read_ahead


class Heaps:
    """Keeps, for each feature, the k rows with the smallest (priority, sample)."""

    def __init__(self, d_sae: int, k: int, window: int, spill: Spill | None = None) -> None:
        """window: tokens of each row's window; 0 for rows without payload. spill: where payloads may go."""
        self.window = window
        shape = (d_sae, k, kernels.HEAD + window) if window else (0, 0, 0)
        places, self._file = spill.array(shape) if spill else (np.empty(shape, dtype=np.int32), None)
        self.arrays = (
            np.zeros(d_sae, dtype=np.int32),  # rows of each feature
            np.empty((d_sae, k), dtype=np.int64),  # (priority, sample) of each, the worst first
            np.empty((d_sae, k), dtype=np.int32),  # where its payload lies
            places,  # start, strongest positions, window (as below)
            places.view(np.float32),  # the same memory, for the window's activations
        )

    @staticmethod
    def bytes(d_sae: int, k: int, window: int) -> tuple[int, int]:
        """Bytes of counts, keys and slots, and bytes of payloads, of such heaps."""
        return d_sae * (4 + 12 * k), d_sae * k * 4 * (kernels.HEAD + window) if window else 0

    def kept_rows(self, low: int = 0, high: int | None = None) -> Rows:
        """The rows kept so far of features low to high, ordered by (feature, priority, sample)."""
        count, keys, slots, places, _ = self.arrays
        held = count[low:high]
        starts = np.r_[0, held.cumsum(dtype=np.int64)]
        if not starts[-1]:
            return {}
        key = np.empty(starts[-1], dtype=np.int64)
        own = np.empty(starts[-1], dtype=np.int64)
        kernels.in_order(keys, slots, low, starts, key, own)
        feature = np.repeat(np.arange(low, low + len(held)), held)
        rows = {
            "feature": torch.from_numpy(feature.astype(np.int32)),
            "priority": torch.from_numpy((key >> 32).astype(np.int32)),
            "sample": torch.from_numpy(key & 0xFFFFFFFF),
        }
        if self.window:
            if self._file:
                each = places[0].nbytes
                read_ahead(self._file, low * each, (low + len(held)) * each)
            rows |= _unpacked(places[feature, own])
        return rows

    def take(self, rows: Rows) -> None:
        """Take in rows as `kept_rows` gives them."""
        if not rows:
            return
        columns = {name: column.cpu().numpy() for name, column in rows.items()}
        features = columns["feature"].astype(np.int64)
        priorities = columns["priority"].astype(np.int64)
        count, keys, slots, places, activations = self.arrays
        own = kernels.place_rows(count, keys, slots, features, priorities, columns["sample"])
        if not self.window:
            return
        kept = own >= 0  # of rows that took the same slot one after the other, the last is written last
        where = features[kept], own[kept]
        places[*where, 0] = columns["start"][kept]
        places[*where, 1 : kernels.HEAD] = columns["top_positions"][kept]
        activations[*where, kernels.HEAD :] = columns["window"][kept]


def _unpacked(payload: np.ndarray) -> Rows:
    """The columns that payloads [rows, 6 + window] hold."""
    start, top_positions = payload[:, 0].copy(), payload[:, 1 : kernels.HEAD].copy()
    window = payload[:, kernels.HEAD :].view(np.float32)
    peak = top_positions[:, 0].copy()
    columns = {
        "activation": window[np.arange(len(peak)), peak - start],
        "peak": peak,
        "start": start,
        "top_positions": top_positions,
        "window": window,
    }
    return {name: torch.from_numpy(column) for name, column in columns.items()}
