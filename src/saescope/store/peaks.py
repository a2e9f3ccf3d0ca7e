"""The tokens that a feature's strongest examples peak on, picked out while the examples are written."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute

pc: Any = pyarrow.compute  # its functions are made when it is imported: no type checker knows them

PEAKS = 3
COLUMN = "peaks_on_ids"
"""Column of features.parquet: up to three different token ids each, that of the strongest example first."""

_READ = ("feature", "stratum", "peak", "start", "token_ids")


class Peaks:
    """Sees every table of examples, and then knows up to three tokens of each feature."""

    def __init__(self, features: int) -> None:
        self.ids = np.full((features, PEAKS), -1, np.int32)
        """Token ids [features, PEAKS], -1 for none."""

    def see(self, examples: pa.Table) -> None:
        """Take the peaks of a table of whole features, ordered by feature and, the strongest first, by rank."""
        feature, stratum, peak, start, lists = (examples.column(name).combine_chunks() for name in _READ)
        top = np.flatnonzero(pc.equal(stratum, "top").to_numpy(zero_copy_only=False))
        place = lists.offsets.to_numpy()[top] + peak.to_numpy()[top] - start.to_numpy()[top]
        self._take(feature.to_numpy()[top], lists.values.to_numpy()[place])

    def _take(self, feature: np.ndarray, token: np.ndarray) -> None:
        for place in range(PEAKS):
            first = np.flatnonzero(np.diff(feature, prepend=-1))
            self.ids[feature[first], place] = token[first]
            other = token != self.ids[feature, place]
            feature, token = feature[other], token[other]

    def column(self) -> pa.ListArray:
        """The column, in order of features."""
        known = self.ids >= 0
        offsets = np.r_[0, known.sum(1).cumsum()].astype(np.int32)
        return pa.ListArray.from_arrays(pa.array(offsets), pa.array(self.ids[known]))


def rectangle(lists: pa.ListArray, width: int) -> np.ndarray:
    """The first `width` numbers of each list, int32 [rows, width], -1 where a list is shorter."""
    offsets = lists.offsets.to_numpy()
    place = offsets[:-1, None] + np.arange(width)
    inside = place < offsets[1:, None]
    found = np.full(place.shape, -1, np.int32)
    found[inside] = lists.values.to_numpy()[place[inside]]
    return found
