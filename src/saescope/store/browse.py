"""Pages of one extraction's features, for a browser: sorted by several keys, filtered, searched, and quickly.

What a page shows of a feature besides its plain columns is held for all features: a coarse histogram, the tokens it
writes, and the tokens its strongest examples peak on (read when first asked for).
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from ..errors import BadValue
from . import marks
from .database import Database
from .features import FeatureStore
from .labels import current_label_columns
from .listing import as_numpy
from .where import parse_where, unknown_field

pc: Any = pyarrow.compute  # its functions are made when it is imported: no type checker knows them

BARS, PEAKS, WRITES = 16, 3, 2
_KEPT_ORDERS = 16
"""Answers held: 4 bytes a feature each."""
_ROW = ("index", "density", "active_tokens", "active_samples", "max", "mean", "dead", "starred", "label",
        "label_source", "score")  # fmt: skip
_SORTS = {"label": "label_key", "clarity": "score"}


class Browse:
    """One extraction, open for reading. Threads may share it."""

    def __init__(self, db: Database, extraction_id: str, store: FeatureStore, strings: Sequence[str]) -> None:
        self.store = store
        self.strings = strings
        self._db, self._id = db, extraction_id
        self._tokens = pa.array(strings, pa.string())
        self._lock = threading.Lock()
        self._version: tuple[int, float] | None = None
        self._table = pa.table({})
        self._orders: OrderedDict[tuple[str, ...], np.ndarray] = OrderedDict()
        self._ranks: dict[str, np.ndarray] = {}
        self._peaks: dict[int, list[str]] = {}
        self._counts, self._writes = _beside(store)

    # ---- asking ----

    @property
    def version(self) -> tuple[int, float]:
        """Grows whenever something is written that a page shows."""
        return self._fresh()[0]

    def order(self, where: str | None = None, search: str | None = None, sort: str | None = None) -> np.ndarray:
        """The features that match, in order, int32 [matching]. sort: fields with commas between, `-` descends."""
        version, table = self._fresh()
        key = (where or "", search or "", sort or "")
        with self._lock:
            if self._version == version and key in self._orders:
                self._orders.move_to_end(key)
                return self._orders[key]
        found = self._sorted(table, self._matching(table, where, search), sort)
        with self._lock:
            if self._version == version:
                self._orders[key] = found
                while len(self._orders) > _KEPT_ORDERS:
                    self._orders.popitem(last=False)
        return found

    def rows(self, features: np.ndarray) -> list[dict[str, Any]]:
        """What a page shows of each of these features."""
        _, table = self._fresh()
        rows = table.select(_ROW).take(pa.array(features)).to_pylist()
        peaks = self.peaks_on(features.tolist())
        for row in rows:
            index = row["index"]
            row["peaks_on"] = peaks[index]
            row["writes"] = [self.strings[id] for id in self._writes[index] if id >= 0]
            row["histogram"] = _bars(self._counts[index])
        return rows

    def column(self, name: str) -> np.ndarray:
        """One column of every feature; NaN where a number is missing."""
        return self._fresh()[1].column(name).to_numpy()

    def peaks_on(self, features: Sequence[int]) -> dict[int, list[str]]:
        """Up to three different tokens that each feature's strongest examples peak on."""
        missing = sorted({index for index in features if index not in self._peaks})
        for index, examples in self.store.each(missing):
            found: list[str] = []
            for example in examples:
                if example["stratum"] != "top" or len(found) == PEAKS:
                    continue
                token = self.strings[int(example["token_ids"][example["peak"] - example["start"]])]
                if token not in found:
                    found.append(token)
            self._peaks[index] = found
        return {index: self._peaks[index] for index in features}

    # ---- keeping ----

    def _fresh(self) -> tuple[tuple[int, float], pa.Table]:
        """The table with labels and stars as they are now."""
        version = marks.version(self._db)
        with self._lock:
            if version != self._version:
                labels = current_label_columns(self._db, self._id)
                starred = np.zeros(self.store.total, bool)
                on = marks.starred(self._db, self._id)
                starred[on[on < self.store.total]] = True
                table = self.store.listing.labelled(labels)
                label, score = table.column("label"), table.column("clarity")
                for name, column in (
                    ("starred", pa.array(starred)),
                    ("labelled", pc.is_valid(label)),
                    ("label_key", pc.utf8_lower(label)),
                    ("score", score),
                ):
                    table = table.append_column(name, column)
                self._table, self._version = table.combine_chunks(), version
                self._orders.clear()
                for name in ("starred", "labelled", "label_key", "score"):
                    for sign in "+-":
                        self._ranks.pop(sign + name, None)
            return version, self._table

    def _matching(self, table: pa.Table, where: str | None, search: str | None) -> np.ndarray:
        listing = self.store.listing
        held = np.ones(len(table), bool)
        if where:
            flags = [*listing.flags, "starred", "labelled"]
            for condition in parse_where(where, numbers=[*listing.numbers, "score"], flags=flags, texts=["label"]):
                held &= as_numpy(condition.holds(table.column(condition.field)))
        if words := (search or "").lower().split():
            held &= listing.found(words, table.column("label_key"), self._tokens)
        return np.flatnonzero(held).astype(np.int32)

    def _sorted(self, table: pa.Table, rows: np.ndarray, sort: str | None) -> np.ndarray:
        keys = [key.strip() for key in (sort or "").split(",") if key.strip()]
        if len(keys) > 3:
            raise BadValue(f"sort: {len(keys)} fields", "give three at most")
        listing = self.store.listing
        fields = [*listing.numbers, *listing.flags, "score", "starred", "labelled", "label"]
        columns = []
        for key in keys:
            name = key.removeprefix("-")
            if name not in fields:
                raise unknown_field("sort", name, fields)
            columns.append(self._rank(table, _SORTS.get(name, name), key.startswith("-"))[rows])
        return rows[np.lexsort(columns[::-1])] if columns else rows

    def _rank(self, table: pa.Table, name: str, descending: bool) -> np.ndarray:
        """Each feature's place by one column, equal ones alike, missing ones last; int32 [features]."""
        key = ("-" if descending else "+") + name
        found = self._ranks.get(key)
        if found is None:
            column = table.column(name)
            if pa.types.is_boolean(column.type):
                column = column.cast(pa.int8())
            way = "descending" if descending else "ascending"
            order = pc.sort_indices(column, sort_keys=[("", way)]).to_numpy()  # missing ones last, either way
            value = _codes(column)[order]
            found = np.zeros(len(order), np.int32)
            found[order[1:]] = np.cumsum(value[1:] != value[:-1])
            self._ranks[key] = found
        return found


def _codes(column: pa.ChunkedArray) -> np.ndarray:
    """A number for each value: the same for equal ones, -1 where it is missing."""
    array = pa.concat_arrays(column.chunks) if column.num_chunks != 1 else column.chunk(0)
    codes = pc.dictionary_encode(array).indices
    return pc.fill_null(codes, -1).to_numpy()


def _beside(store: FeatureStore) -> tuple[np.ndarray, np.ndarray]:
    """Histogram counts uint32 [features, bins] and the first tokens written int32 [features, 2], -1 for none."""
    counts: np.ndarray | None = None
    writes = np.full((store.total, WRITES), -1, np.int32)
    first = 0
    with pq.ParquetFile(store.folder / "features.parquet", memory_map=True) as file:
        for batch in file.iter_batches(4096, columns=["histogram", "writes_most_ids"], use_threads=False):
            last = first + len(batch)
            bins = batch.column(0).flatten().to_numpy().reshape(len(batch), -1)
            if counts is None:
                counts = np.zeros((store.total, bins.shape[1]), np.uint32)
            counts[first:last] = np.minimum(bins, np.iinfo(np.uint32).max)
            for place in range(WRITES):
                lists = batch.column(1)
                long = pc.greater(pc.list_value_length(lists), place).to_numpy(zero_copy_only=False)
                at = np.flatnonzero(long)
                if len(at):
                    writes[first + at, place] = pc.list_element(lists.filter(pa.array(long)), place).to_numpy()
            first = last
    return (np.zeros((store.total, 0), np.uint32) if counts is None else counts), writes


def _bars(counts: np.ndarray) -> list[int]:
    """A histogram without its empty ends, in 16 bars at most."""
    filled = np.flatnonzero(counts)
    if not len(filled):
        return []
    kept = counts[filled[0] : filled[-1] + 1].astype(np.int64)
    width = -(-len(kept) // BARS)
    return np.add.reduceat(kept, np.arange(0, len(kept), width)).tolist()
