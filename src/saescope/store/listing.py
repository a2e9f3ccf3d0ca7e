"""Sorting, filtering and searching the features of one extraction, on columns held in memory."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute

from ..errors import BadValue
from ..records import Label
from .where import parse_where, unknown_field

pc: Any = pyarrow.compute  # its functions are made when it is imported: no type checker knows them

Labels = Mapping[int, Label] | pa.Table | None
"""What `labels.current_labels` gives or, faster for many features, `labels.current_label_columns`."""

Tokens = Sequence[str] | pa.Array | None
"""The text of each token id, so that a search finds what a feature writes."""

_LABEL_FIELDS = {
    "label": ("text", pa.string()),
    "label_source": ("source", pa.string()),
    "clarity": ("clarity", pa.float64()),
    "detection": ("detection", pa.float64()),
    "detection_low": ("detection_low", pa.float64()),
    "fuzzing": ("fuzzing", pa.float64()),
}
"""What a label adds to a feature: the column of labels that it comes from, and its type."""

TEXTS = ("label", "label_source")
"""What `--where` looks for words in."""


WRITES = 2
"""Tokens written that a page shows."""


class Listing:
    """The plain columns of every feature, ready to be asked."""

    def __init__(self, columns: pa.Table, written: Callable[[], np.ndarray]) -> None:
        """columns: one row per feature, no lists; written: reads the ids of the tokens features write, -1 for none."""
        self._columns = columns.combine_chunks()
        self._read_written = written
        self._kept: tuple[pa.Table, pa.Table] | None = None
        kinds = {field.name: field.type for field in columns.schema}
        self.flags = [name for name, kind in kinds.items() if pa.types.is_boolean(kind)]
        self.numbers = [name for name, kind in kinds.items() if pa.types.is_integer(kind) or pa.types.is_floating(kind)]
        self.numbers += [name for name, (_, kind) in _LABEL_FIELDS.items() if pa.types.is_floating(kind)]

    def rows(
        self,
        *,
        sort: str = "index",
        order: Literal["asc", "desc"] | None = None,
        where: str | None = None,
        search: str | None = None,
        limit: int | None = None,
        labels: Labels = None,
        tokens: Tokens = None,
    ) -> tuple[int, pa.Table]:
        """(features that match, the first `limit`); equal ones in order of index, missing values last."""
        fields = [*self.numbers, *self.flags, "label"]
        if sort not in fields:
            raise unknown_field("sort", sort, fields)
        if order not in (None, "asc", "desc"):
            raise BadValue(f"order: {order!r}", "use asc or desc")
        if limit is not None and limit < 0:
            raise BadValue(f"limit: {limit} is negative", "give 0 or more, or none for all")
        conditions = parse_where(where, numbers=self.numbers, flags=self.flags, texts=TEXTS) if where else []
        words = search.lower().split() if search else []

        asked = {sort, *(condition.field for condition in conditions)}
        by_label = bool(words) or not asked.isdisjoint(_LABEL_FIELDS)
        table = self._columns
        if by_label or limit is None or isinstance(labels, pa.Table):
            table = self.labelled(labels)

        held = np.ones(len(table), bool)
        for condition in conditions:
            held &= as_numpy(condition.holds(table.column(condition.field)))
        if words:
            held &= self.found(words, pc.utf8_lower(table.column("label")), lowered(tokens))
        matching = np.flatnonzero(held)
        shown = table.take(pa.array(_first(table, matching, sort, order, limit)))
        if table is self._columns:
            shown = _joined(shown, _label_table(labels, shown.column("index").to_pylist()))
        return len(matching), shown

    def labelled(self, labels: Labels) -> pa.Table:
        """Every feature with its label; kept while the same table of labels is handed in."""
        if self._kept is not None and self._kept[0] is labels:
            return self._kept[1]
        plain = labels if isinstance(labels, pa.Table) else _label_table(labels, None)
        table = _joined(self._columns, plain).combine_chunks()
        if isinstance(labels, pa.Table):
            self._kept = labels, table
        return table

    def found(self, words: list[str], label: pa.ChunkedArray, text: pa.Array | None) -> np.ndarray:
        """Features of which each word stands in the label or in a token they write; words, label and text of the
        tokens in lower case.
        """
        held = np.ones(len(label), bool)
        for word in words:
            has_word = as_numpy(pc.fill_null(pc.match_substring(label, word), False))
            if text is not None:
                has_word = has_word | self._writes(as_numpy(pc.fill_null(pc.match_substring(text, word), False)))
            held &= has_word
        return held

    @property
    def searchable(self) -> bool:
        """Whether who writes which token was read already: the first search does."""
        return "_writers" in self.__dict__

    def _writes(self, token_has_word: np.ndarray) -> np.ndarray:
        """Features that write one of these tokens."""
        writers, starts = self._writers
        held = np.zeros(len(self._columns), bool)
        for token in np.flatnonzero(token_has_word[: len(starts) - 1]).tolist():
            held[writers[starts[token] : starts[token + 1]]] = True
        return held

    @cached_property
    def _writers(self) -> tuple[np.ndarray, np.ndarray]:
        """(features, int32; starts): those that write a token stand from its start to the next one."""
        ids = self._read_written()
        known = ids >= 0
        token, feature = ids[known], np.repeat(np.arange(len(ids), dtype=np.int32), known.sum(1))
        order = np.lexsort([token.astype(np.uint16), (token >> 16).astype(np.uint16)])
        starts = np.r_[0, np.bincount(token).cumsum()] if len(token) else np.zeros(1, np.int64)
        return feature[order], starts

    @cached_property
    def written(self) -> np.ndarray:
        """Ids of the tokens that each feature writes most, int32 [features, WRITES], -1 for none."""
        return np.ascontiguousarray(self._read_written()[:, :WRITES])


def lowered(tokens: Tokens) -> pa.Array | None:
    """The text of tokens in lower case."""
    if tokens is None:
        return None
    return pc.utf8_lower(tokens if isinstance(tokens, pa.Array) else pa.array(tokens, pa.string()))


def _first(table: pa.Table, matching: np.ndarray, sort: str, order: str | None, limit: int | None) -> np.ndarray:
    """The matching rows in order: index and label ascend, everything else descends, unless told."""
    order = order or ("asc" if sort in ("index", "label") else "desc")
    if sort == "index":
        return (matching if order == "asc" else matching[::-1])[:limit]
    key = table.column(sort)
    if len(matching) < len(table):
        key = key.take(pa.array(matching))
    if pa.types.is_string(key.type):
        key = pc.utf8_lower(key)
    elif pa.types.is_boolean(key.type):
        key = key.cast(pa.int8())
    direction = "ascending" if order == "asc" else "descending"
    present = len(key) - key.null_count
    if limit is None or limit > present // 8:
        return matching[pc.sort_indices(key, sort_keys=[("", direction)]).to_numpy()[:limit]]
    # A page of many: picking the first few takes a tenth of the time of sorting them all.
    rows = pa.table({"key": key, "row": np.arange(len(key))})
    keys = [("key", direction), ("row", "ascending")]
    return matching[pc.select_k_unstable(rows, limit, sort_keys=keys).to_numpy()]


def _label_table(labels: Labels, features: list[int] | None) -> pa.Table:
    """What `_LABEL_FIELDS` names, of the features asked for."""
    if isinstance(labels, pa.Table):
        return labels
    chosen = (
        [labels[index] for index in (labels if features is None else features) if index in labels] if labels else []
    )
    return pa.table(
        {
            "feature": pa.array([label.feature for label in chosen], pa.int64()),
            "text": pa.array([label.text for label in chosen], pa.string()),
            "source": pa.array([label.source for label in chosen], pa.string()),
            "clarity": pa.array([label.clarity for label in chosen], pa.float64()),
            "detection": pa.array([_of_score(label, "detection", "value") for label in chosen], pa.float64()),
            "detection_low": pa.array([_of_score(label, "detection", "low") for label in chosen], pa.float64()),
            "fuzzing": pa.array([_of_score(label, "fuzzing", "value") for label in chosen], pa.float64()),
        }
    )


def _of_score(label: Label, score: str, field: str) -> float | None:
    return getattr(label.scores[score], field) if score in label.scores else None


def _joined(features: pa.Table, labels: pa.Table) -> pa.Table:
    """The features with what their labels add: null where there is no label."""
    index = features.column("index").to_numpy()
    place = np.full(int(index.max(initial=-1)) + 1, -1)
    labelled = labels.column("feature").to_numpy()
    inside = labelled < len(place)
    place[labelled[inside]] = np.flatnonzero(inside)
    rows = place[index] if len(index) else place
    taken = pa.array(rows, mask=rows < 0)
    for name, (source, kind) in _LABEL_FIELDS.items():
        if source not in labels.column_names:
            features = features.append_column(name, pa.nulls(len(features), kind))
            continue
        column: Any = labels.column(source).combine_chunks()
        features = features.append_column(name, column.cast(kind).take(taken))
    return features


def as_numpy(held: Any) -> np.ndarray:
    """A column as numpy has it."""
    return held.to_numpy() if isinstance(held, pa.ChunkedArray) else held.to_numpy(zero_copy_only=False)
