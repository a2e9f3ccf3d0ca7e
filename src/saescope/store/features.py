"""What an extraction found, on disk: one Parquet file of features, and parts of examples.

    folder/
      features.parquet      one row per feature, in order of index, dead ones included
      examples/00000.parquet …   each some thousand features, sorted by feature, stratum, rank

A row group of examples holds at most 64 features, so that showing one feature reads one small group. Every
file can be read by any tool; the parts together are one table.
"""

import bisect
import contextlib
import json
import os
import shutil
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import BrokenHome, NotFound
from ..home import no_space
from .listing import Labels, Listing, Tokens

_FEATURES_PER_PART = 2048
_FEATURES_PER_GROUP = 64
_ROWS_PER_GROUP = 16_384
_FEATURES_PER_FEATURE_GROUP = 512
_FEATURE_GROUPS = 256
"""Row groups of features.parquet, about, of very many features: each costs every query some 50 µs a column."""

_EDGES = b"histogram_edges"
_PARTS = b"saescope_part_starts"
"""First feature of each part, a JSON list in the metadata of features.parquet."""

STRATA = ("top", "q4", "q3", "q2", "q1", "none")
"""Examples are shown in this order: strongest first."""

Rows = list[dict[str, Any]]


def write_extraction(folder: Path, features: pa.Table, examples: pa.Table | Iterable[pa.Table]) -> None:
    """Write an extraction's two tables into a folder.

    features: one row per feature, column `index` 0..n-1 in order; `histogram_edges` (JSON) in its metadata.
    examples: sorted by feature; one table, or several that follow each other without sharing a feature.
    Raises NoSpace when the disk is full, and then leaves nothing behind.
    """
    index = features.column("index").to_numpy()
    if not np.array_equal(index, np.arange(len(index))):
        raise ValueError("features: the index must be 0, 1, 2, … in order")
    parts, place = folder / "examples", folder / "features.parquet"
    try:
        parts.mkdir()
        starts = _write_examples(parts, [examples] if isinstance(examples, pa.Table) else examples, len(index))
        metadata = {**(features.schema.metadata or {}), _PARTS: json.dumps(starts).encode()}
        pq.write_table(
            features.replace_schema_metadata(metadata),
            place,
            row_group_size=max(_FEATURES_PER_FEATURE_GROUP, len(index) // _FEATURE_GROUPS),
            compression="zstd",
        )
    except BaseException as error:
        shutil.rmtree(parts, ignore_errors=True)
        place.unlink(missing_ok=True)
        if isinstance(error, OSError) and (full := no_space(error, folder)):
            raise full from None
        raise


def _write_examples(folder: Path, tables: Iterable[pa.Table], total: int) -> list[int]:
    """Write the parts, some at a time, and return the first feature of each."""
    starts: list[int] = []
    running: list[Future[None]] = []
    empty: pa.Table | None = None
    workers = min(4, os.cpu_count() or 1)
    with ThreadPoolExecutor(workers) as pool:
        for table in tables:
            empty = table.slice(0, 0)
            for first, part in _cut(table, starts[-1] if starts else -1, total):
                running.append(pool.submit(_write_part, folder / f"{len(starts):05d}.parquet", part))
                starts.append(first)
                while len(running) > workers:  # holds back a stream of tables
                    running.pop(0).result()
        for future in running:
            future.result()
    if not starts and empty is not None:  # every feature is dead: a part all the same, for its columns
        _write_part(folder / "00000.parquet", empty)
        starts.append(0)
    return starts


def _cut(table: pa.Table, after: int, total: int) -> Iterator[tuple[int, pa.Table]]:
    """(first feature, rows) of each part of a table sorted by feature."""
    feature = table.column("feature").to_numpy()
    if len(feature) == 0:
        return
    if (np.diff(feature) < 0).any() or feature[0] <= after or feature[-1] >= total:
        raise ValueError(f"examples: features must ascend from above {after} and stay below {total}")
    firsts = np.arange(feature[0], feature[-1] + 1, _FEATURES_PER_PART)
    rows = [*np.searchsorted(feature, firsts), len(feature)]
    for first, start, end in zip(firsts, rows, rows[1:], strict=False):
        if end > start:
            yield int(first), table.slice(start, end - start)


def _write_part(path: Path, part: pa.Table) -> None:
    options: dict[str, Any] = {"use_dictionary": ["stratum"], "write_statistics": ["feature"]}
    if pa.types.is_list(part.schema.field("token_ids").type):
        options["column_encoding"] = {"token_ids.list.element": "DELTA_BINARY_PACKED"}
    with pq.ParquetWriter(path, part.schema, compression="zstd", compression_level=1, **options) as writer:
        for start, end in _groups(part.column("feature").to_numpy()):
            writer.write_table(part.slice(start, end - start), row_group_size=end - start)


def _groups(feature: np.ndarray) -> Iterator[tuple[int, int]]:
    """Row ranges that hold whole features: at most 64 of them, and few rows unless one feature has many."""
    bounds = [*np.flatnonzero(np.diff(feature, prepend=-1)).tolist(), len(feature)]
    first = 0
    for following in range(1, len(bounds)):
        last = following == len(bounds) - 1
        crowded = not last and bounds[following + 1] - bounds[first] > _ROWS_PER_GROUP
        if last or crowded or following - first == _FEATURES_PER_GROUP:
            yield bounds[first], bounds[following]
            first = following


class FeatureStore:
    """Reading what `write_extraction` wrote: listed, one feature, or whole. Threads may share one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file = folder / "features.parquet"
        with self._reading():
            self._metadata = pq.read_metadata(self._file)
            self.schema: pa.Schema = self._metadata.schema.to_arrow_schema()
            named = self._metadata.metadata or {}
            self._starts: list[int] = json.loads(named[_PARTS])
        self.total: int = self._metadata.num_rows
        """Features, dead ones included."""
        self.histogram_edges: list[float] = json.loads(named.get(_EDGES, b"[]"))
        """Bin edges shared by every feature's histogram, in units of activation."""
        self._parts: dict[int, tuple[pq.FileMetaData, list[int]]] = {}

    @cached_property
    def listing(self) -> Listing:
        """The plain columns of every feature, held in memory."""
        plain = [field.name for field in self.schema if not pa.types.is_nested(field.type)]
        return Listing(self.to_arrow(plain), lambda: self.to_arrow(["writes_most_ids"]).column(0))

    def to_arrow(self, columns: Collection[str] | None = None) -> pa.Table:
        """Every feature, or some columns of every feature."""
        with self._reading():
            return pq.read_table(self._file, columns=None if columns is None else [*columns], memory_map=True)

    def examples_arrow(self) -> pa.Table:
        """Every example of every feature."""
        with self._reading():
            return pa.concat_tables(
                [pq.read_table(self._part(part), memory_map=True) for part in range(len(self._starts))]
            )

    def feature(self, index: int) -> dict[str, Any]:
        """Everything known of one feature; NotFound outside 0..n-1."""
        self.check(index)
        group, row = divmod(index, self._metadata.row_group(0).num_rows)
        with self._reading(), pq.ParquetFile(self._file, metadata=self._metadata, memory_map=True) as file:
            return file.read_row_group(group, use_threads=False).slice(row, 1).to_pylist()[0]

    def examples(self, index: int, stratum: str | None = None) -> Rows:
        """One feature's examples, strongest stratum first, by rank; or those of one stratum."""
        self.check(index)
        with self._reading():
            rows = self._example_rows(index)
        if stratum is not None:
            rows = [row for row in rows if row["stratum"] == stratum]
        order = {name: place for place, name in enumerate(STRATA)}
        return sorted(rows, key=lambda row: (order.get(row["stratum"], len(order)), row["stratum"], row["rank"]))

    def list(
        self,
        sort: str = "index",
        order: Literal["asc", "desc"] | None = None,
        where: str | None = None,
        search: str | None = None,
        limit: int | None = None,
        labels: Labels = None,
        tokens: Tokens = None,
    ) -> tuple[int, pa.Table]:
        """(features that match, the first `limit` of them with columns label, label_source and clarity).

        sort: a plain column, label or clarity; order: by default ascending for index and label, else
        descending. where: conditions as in `where.py`. search: words that must all stand, in any case, in a
        feature's label or in the tokens it writes most (`tokens` gives the text of each token id).
        Equal features stand in order of index. Raises BadValue for a field or condition that does not exist.
        """
        return self.listing.rows(
            sort=sort, order=order, where=where, search=search, limit=limit, labels=labels, tokens=tokens
        )

    def each(self, features: Collection[int]) -> Iterator[tuple[int, Rows]]:
        """(feature, its examples) for ascending features; every row group is read once."""
        group: tuple[int, int] | None = None
        table, bounds = None, np.zeros(0, dtype=np.int64)
        for index in features:
            self.check(index)
            with self._reading():
                found = self._place(index)
                if found is None:
                    yield index, []
                    continue
                if found != group:
                    group, table = found, self._read_group(*found)
                    bounds = table.column("feature").to_numpy()
            start, end = np.searchsorted(bounds, [index, index + 1])
            assert table is not None
            yield index, table.slice(start, end - start).to_pylist()

    def _example_rows(self, index: int) -> Rows:
        place = self._place(index)
        if place is None:
            return []
        table = self._read_group(*place)
        start, end = np.searchsorted(table.column("feature").to_numpy(), [index, index + 1])
        return table.slice(start, end - start).to_pylist()

    def _place(self, index: int) -> tuple[int, int] | None:
        """Part and row group that hold a feature's examples, if it has any."""
        part = bisect.bisect_right(self._starts, index) - 1
        if part < 0:
            return None
        if part not in self._parts:
            metadata = pq.read_metadata(self._part(part))
            self._parts[part] = metadata, _last_features(metadata)
        group = bisect.bisect_left(self._parts[part][1], index)
        return None if group == len(self._parts[part][1]) else (part, group)

    def _read_group(self, part: int, group: int) -> pa.Table:
        with pq.ParquetFile(self._part(part), metadata=self._parts[part][0], memory_map=True) as file:
            return file.read_row_group(group, use_threads=False)

    def _part(self, part: int) -> Path:
        return self.folder / "examples" / f"{part:05d}.parquet"

    def check(self, index: int) -> None:
        """NotFound unless there is a feature of that index."""
        if not 0 <= index < self.total:
            there = f"features are 0 to {self.total - 1}" if self.total else "this extraction has no features"
            raise NotFound(f"no feature {index}", there)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowException, OSError, KeyError) as error:
            what = "missing" if isinstance(error, FileNotFoundError) else "damaged"
            raise BrokenHome(
                f"the files of the extraction in {str(self.folder)!r} are {what}", "extract it again"
            ) from error


def _last_features(metadata: pq.FileMetaData) -> list[int]:
    """The last feature of each row group."""
    column = metadata.schema.names.index("feature")
    return [metadata.row_group(group).column(column).statistics.max for group in range(metadata.num_row_groups)]
