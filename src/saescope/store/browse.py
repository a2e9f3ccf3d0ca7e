"""Pages of one extraction's features, for a browser: sorted by several keys, filtered, searched, and quickly.

What a page shows is held for all features, some 50 MB at 131k: plain columns, labels, a coarse histogram, the tokens
written, and the tokens that the strongest examples peak on (in files of before: read when first asked for).
"""

import json
import threading
from collections.abc import Callable, Collection, Hashable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute

from ..errors import BadValue
from . import bars, marks
from .database import Database
from .features import MEASURES, FeatureStore
from .labels import current_label_columns, relabelled
from .latest import Latest
from .listing import TEXTS, as_numpy, lowered
from .peaks import COLUMN as PEAKS_ON
from .peaks import PEAKS
from .where import parse_where, unknown_field

pc: Any = pyarrow.compute  # its functions are made when it is imported: no type checker knows them

Version = tuple[float, ...]
"""When the measures were written, and `marks.version`."""

_KEPT_ORDERS = 16
"""Orders of every feature that are held: 4 bytes a feature each."""
_KEPT_MATCHES = 4
"""Answers of filters and searches that are held, in orders of every feature: most are a small part of one."""
_KEPT_MASKS = 64
"""Filters and words searched for that are held: a bit a feature each."""
_KEPT_PEAKS = 20_000
_MANY = 5_000
"""From so many features with new labels on, all labels are read anew."""
_ROW = ("index", "density", "active_tokens", "active_samples", "max", "mean", "dead", "starred", "label",
        "label_source", "score", "detection_low")  # fmt: skip
_SORTS = {"label": "label_key"}
_OF_LABELS = ("starred", "labelled", "label_key", "label_source", "score", "clarity", "detection", "detection_low",
              "fuzzing")  # fmt: skip


class Browse:
    """One extraction, open for reading. Threads may share it."""

    def __init__(
        self,
        db: Database,
        extraction_id: str,
        store: FeatureStore,
        strings: list[str],
        version: Callable[[], marks.Version] | None = None,
    ) -> None:
        """version: gives `marks.version`, where somebody knows it sooner than by asking the database."""
        self.store = store
        self.strings = strings
        self.notes: dict[int, dict[str, str]] = {}
        self._db, self._id = db, extraction_id
        self._ask_version = version or (lambda: marks.version(db))
        self._lock, self._refreshing = threading.Lock(), threading.Lock()
        self._version: Version | None = None
        self._labels: pa.Table | None = None
        self._table = pa.table({})
        self._orders = Latest[np.ndarray](_KEPT_ORDERS * 4 * store.total, _bytes)
        self._matches = Latest[np.ndarray](_KEPT_MATCHES * 4 * store.total, _bytes)
        self._masks = Latest[np.ndarray](_KEPT_MASKS * (store.total // 8 + 1), _bytes)
        self._ranks: dict[str, np.ndarray] = {}
        self._peaks: dict[int, list[str]] = {}
        names = [field.name for field in store.schema if field.name != PEAKS_ON]
        self._held = [name for name in names if not pa.types.is_nested(store.schema.field(name).type)]
        self._read = [name for name in names if name not in self._held]
        self._tokens = lowered(strings)
        self._bars = bars.bars_of(store)

    @cached_property
    def quoted(self) -> pa.StringArray:
        """Each token's string as JSON has it."""
        return pa.array([json.dumps(string, ensure_ascii=False) for string in self.strings], pa.string())

    # ---- asking ----

    @property
    def version(self) -> Version:
        """Another one whenever something is written that a page shows."""
        return (self.store.measured_at(), *self._ask_version())

    def ready(self, search: str | None = None) -> bool:
        """Whether what is held of every feature is as it is now: else the next question reads some of it anew."""
        return self.version == self._version and (not search or self.store.listing.searchable)

    def order(self, where: str | None = None, search: str | None = None, sort: str | None = None) -> np.ndarray:
        """The features that match, in order, int32 [matching]. sort: fields with commas between, `-` descends."""
        version, table = self._fresh()
        every = self._orders.get((version, sort), lambda: self._sorted(table, sort))
        if not where and not search:
            return every

        def matching() -> np.ndarray:
            return every[self._matching(version, table, where, search)[every]]

        return self._matches.get((version, where, search, sort), matching)

    def rows(self, features: np.ndarray) -> list[dict[str, Any]]:
        """What a page shows of each of these features; NaN where a number is missing."""
        _, table = self._fresh()
        taken = table.select(_ROW).take(pa.array(features))
        columns = {name: _plain(taken.column(name)) for name in _ROW}
        peaks = self.peaks_on(features.tolist())
        columns["peaks_on"] = [peaks[index] for index in columns["index"]]
        written = self.store.listing.written[features].tolist()
        columns["writes"] = [[self.strings[id] for id in ids if id >= 0] for ids in written]
        columns["histogram"] = self._bars.of(features)
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def row(self, index: int) -> dict[str, Any]:
        """One feature's row as `FeatureStore.feature` gives it, without what it peaks on, and whether it is starred."""
        self.store.check(index)
        _, table = self._fresh()
        plain = {name: table.column(name)[index].as_py() for name in (*self._held, "starred")}
        return plain | self.store.feature(index, self._read)

    def labels_of(self, features: Collection[int]) -> dict[int, str | None]:
        """The label shown of each of these features."""
        _, table = self._fresh()
        return dict(zip(features, table.column("label").take(pa.array(features, pa.int64())).to_pylist(), strict=True))

    def starred(self, index: int) -> bool:
        """Whether a feature is starred."""
        return self._fresh()[1].column("starred")[index].as_py()

    def column(self, name: str) -> np.ndarray:
        """One column of every feature; NaN where a number is missing."""
        return self._fresh()[1].column(name).to_numpy()

    def peaks_on(self, features: Sequence[int]) -> dict[int, list[str]]:
        """Up to three different tokens that each feature's strongest examples peak on."""
        if self.store.peaks is not None:
            ids = self.store.peaks[features].tolist()
            return {
                index: [self.strings[id] for id in each if id >= 0] for index, each in zip(features, ids, strict=True)
            }
        known = {index: self._peaks[index] for index in features if index in self._peaks}
        for index, examples in self.store.each(sorted(set(features) - known.keys())):
            tops = [each for each in examples if each["stratum"] == "top"]
            tokens = (self.strings[each["token_ids"][each["peak"] - each["start"]]] for each in tops)
            known[index] = list(dict.fromkeys(tokens))[:PEAKS]
        if len(self._peaks) < _KEPT_PEAKS:
            self._peaks |= known
        return known

    # ---- keeping ----

    def _fresh(self) -> tuple[Version, pa.Table]:
        """The table with labels and stars as they are now."""
        version = self.version
        with self._lock:
            if version == self._version:
                return version, self._table
        with self._refreshing:  # by one thread, while the others that find it out of date wait
            if version != self._version:
                labels = self._relabelled()
                starred = np.zeros(self.store.total, bool)
                on = marks.starred(self._db, self._id)
                starred[on[on < self.store.total]] = True
                table = self.store.listing.labelled(labels)
                label = table.column("label")
                score = pc.coalesce(table.column("detection"), table.column("clarity"))
                for name, column in (
                    ("starred", pa.array(starred)),
                    ("labelled", pc.is_valid(label)),
                    ("label_key", pc.utf8_lower(label)),
                    ("score", score),
                ):
                    table = table.append_column(name, column)
                notes = marks.notes(self._db, self._id)
                with self._lock:
                    self._table, self._labels, self._version, self.notes = table, labels, version, notes
                    for held in (self._orders, self._matches, self._masks):
                        held.clear()
                    for name in (*_OF_LABELS, *MEASURES):
                        self._ranks.pop(name, None)
            return version, self._table

    def _relabelled(self) -> pa.Table:
        """The shown labels now: those of before, and what was written since."""
        if self._labels is None or self._version is None:
            return current_label_columns(self._db, self._id)
        labels, scores, choices = (int(newest) for newest in self._version[1:4])
        changed = relabelled(self._db, self._id, labels, scores, choices)
        if not changed:
            return self._labels
        if len(changed) > _MANY:
            return current_label_columns(self._db, self._id)
        fresh = current_label_columns(self._db, self._id, changed)
        kept = self._labels.filter(pc.invert(pc.is_in(self._labels.column("feature"), fresh.column("feature"))))
        return pa.concat_tables([kept, fresh]).combine_chunks()

    def _matching(self, version: Version, table: pa.Table, where: str | None, search: str | None) -> np.ndarray:
        """Whether each feature matches."""
        held = np.ones(len(table), bool)
        if where:
            held &= self._mask((version, "where", where), lambda: self._meeting(table, where))
        for word in dict.fromkeys((search or "").lower().split()):
            held &= self._mask((version, "word", word), lambda word=word: self._having(table, word))
        return held

    def _mask(self, key: Hashable, make: Callable[[], np.ndarray]) -> np.ndarray:
        """What is said of each feature, held as a bit each."""
        bits = self._masks.get(key, lambda: np.packbits(make()))
        return np.unpackbits(bits, count=self.store.total).view(bool)

    def _meeting(self, table: pa.Table, where: str) -> np.ndarray:
        """Whether each feature meets all conditions."""
        listing = self.store.listing
        numbers, flags = [*listing.numbers, "score"], [*listing.flags, "starred", "labelled"]
        held = np.ones(len(table), bool)
        for condition in parse_where(where, numbers=numbers, flags=flags, texts=TEXTS):
            held &= as_numpy(condition.holds(table.column(condition.field)))
        return held

    def _having(self, table: pa.Table, word: str) -> np.ndarray:
        """Whether each feature has a word in its label or in a token that it writes."""
        return self.store.listing.found([word], table.column("label_key"), self._tokens)

    def _sorted(self, table: pa.Table, sort: str | None) -> np.ndarray:
        """Every feature in order."""
        keys = [key.strip() for key in (sort or "").split(",") if key.strip()]
        if len(keys) > 3:
            raise BadValue(f"sort: {len(keys)} fields", "give three at most")
        listing = self.store.listing
        fields = [*listing.numbers, *listing.flags, "score", "starred", "labelled", *TEXTS]
        columns = []
        for key in keys:
            name = key.removeprefix("-")
            if name not in fields:
                raise unknown_field("sort", name, fields)
            rank = self._rank(table, _SORTS.get(name, name))
            if key.startswith("-"):
                rank = np.where(rank < _MISSING, _MISSING - 1 - rank, _MISSING)
            columns += [rank >> 16, rank]
        # Sixteen bits at a time are sorted by their digits: a quarter of the time.
        order = np.lexsort([half.astype(np.uint16) for half in reversed(columns)]) if columns else np.arange(len(table))
        return order.astype(np.int32)

    def _rank(self, table: pa.Table, name: str) -> np.ndarray:
        """Each feature's place by one column, int32 [features]: equal ones alike, _MISSING where there is no value."""
        found = self._ranks.get(name)
        if found is None:
            column = table.column(name)
            if pa.types.is_boolean(column.type):
                column = column.cast(pa.int8())
            found = pc.rank(column, tiebreaker="dense").to_numpy().astype(np.int32)
            found[pc.is_null(column, nan_is_null=True).to_numpy()] = _MISSING
            with self._lock:
                if table is self._table:
                    self._ranks[name] = found
        return found


_MISSING = np.iinfo(np.int32).max
"""The rank of what has no value: last, whichever way the others go."""


def _bytes(held: np.ndarray) -> int:
    return held.nbytes


def _plain(column: pa.ChunkedArray) -> list[Any]:
    """Values as Python has them."""
    return column.to_pylist() if pa.types.is_string(column.type) else column.to_numpy().tolist()
