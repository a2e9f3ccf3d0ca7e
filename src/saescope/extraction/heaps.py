"""What `Ranked` keeps, in heaps that compiled loops fill: one block of memory, bounded by features × k from the start.

The pages of features that never fire are never touched.
"""

import numpy as np
import torch

from . import kernels
from .ranked import Rows


class Heaps:
    """Keeps, for each feature, the k rows with the smallest (priority, sample)."""

    def __init__(self, d_sae: int, k: int, window: int) -> None:
        """window: tokens of each row's window; 0 for rows without payload."""
        shape = (d_sae, k)
        self.heap = (
            np.zeros(d_sae, dtype=np.int32),
            np.empty(shape, dtype=np.int64),
            np.empty(shape, dtype=np.int32),
        )
        self.window = window
        held = shape if window else (0, 0)
        self.payload = (
            np.empty(held, dtype=np.float32),
            np.empty(held, dtype=np.int32),
            np.empty(held, dtype=np.int32),
            np.empty((*held, 5), dtype=np.int32),
            np.empty((*held, window), dtype=np.float32),
        )

    _COLUMNS = ("activation", "peak", "start", "top_positions", "window")

    def kept_rows(self) -> Rows:
        """All rows kept so far, ordered by (feature, priority, sample)."""
        count, keys, slots = self.heap
        if not count.any():
            return {}
        inside = np.arange(keys.shape[1]) < count[:, None]
        order = np.argsort(np.where(inside, keys, np.iinfo(np.int64).max), axis=1)
        feature = np.repeat(np.arange(len(count)), count)
        place = order[inside]
        key = keys[feature, place]
        rows = {
            "feature": torch.from_numpy(feature.astype(np.int32)),
            "priority": torch.from_numpy((key >> 32).astype(np.int32)),
            "sample": torch.from_numpy(key & 0xFFFFFFFF),
        }
        if self.window:
            own = slots[feature, place]
            for name, column in zip(self._COLUMNS, self.payload, strict=True):
                rows[name] = torch.from_numpy(column[feature, own])
        return rows

    def take(self, rows: Rows) -> None:
        """Take in rows as `kept_rows` gives them."""
        if not rows:
            return
        columns = {name: column.cpu().numpy() for name, column in rows.items()}
        features = columns["feature"].astype(np.int64)
        priorities = columns["priority"].astype(np.int64)
        slots = kernels.place_rows(*self.heap, features, priorities, columns["sample"])
        if not self.window:
            return
        kept = slots >= 0  # of rows that took the same slot one after the other, the last is written last
        for name, column in zip(self._COLUMNS, self.payload, strict=True):
            column[features[kept], slots[kept]] = columns[name][kept]
