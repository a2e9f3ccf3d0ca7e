"""Histograms coarse enough to be held of every feature: without their empty ends, in 16 bars at most."""

from dataclasses import dataclass

import numpy as np

from .features import FeatureStore

BARS = 16


@dataclass
class Bars:
    """The bars of every feature."""

    heights: np.ndarray
    """Counts, uint32 [features, BARS]; a count beyond its range is its largest number."""
    number: np.ndarray
    """Bars of each feature, uint8 [features]."""

    def of(self, features: np.ndarray) -> list[list[int]]:
        """The bars of some features."""
        numbers = self.number[features].tolist()
        return [row[:number] for row, number in zip(self.heights[features].tolist(), numbers, strict=True)]


def bars_of(store: FeatureStore) -> Bars:
    """Read every histogram once, some at a time."""
    found = Bars(np.zeros((store.total, BARS), np.uint32), np.zeros(store.total, np.uint8))
    first = 0
    for batch in store.batches(["histogram"]):
        counts = batch.column(0).flatten().to_numpy().reshape(len(batch), -1)
        part = slice(first, first + len(batch))
        found.heights[part], found.number[part] = coarse(counts)
        first += len(batch)
    return found


def coarse(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(heights [n, BARS], number of bars [n]) of histograms [n, bins]: as many bins in each bar as there must be."""
    n, bins = counts.shape
    filled = counts > 0
    low = filled.argmax(1)
    high = np.where(filled.any(1), bins - filled[:, ::-1].argmax(1), low)
    width = np.maximum(1, -(-(high - low) // BARS))
    edges = np.minimum(low[:, None] + width[:, None] * np.arange(BARS + 1), high[:, None])
    sums = np.zeros((n, bins + 1), np.int64)
    np.cumsum(counts, axis=1, out=sums[:, 1:])
    heights = np.diff(np.take_along_axis(sums, edges, 1), axis=1)
    return np.minimum(heights, np.iinfo(np.uint32).max), -(-(high - low) // width)
