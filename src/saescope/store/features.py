"""What an extraction found, on disk: one Parquet file of features, and parts of examples.

    folder/
      features.parquet      one row per feature, in order of index, dead ones included
      examples/00000.parquet …   each a hundred features, sorted by feature, stratum, rank

A row group of examples holds at most 4 features and a part at most 128, so that showing one feature reads one small
footer and one small group. Every file can be read by any tool; the parts together are one table.
"""

import bisect
import contextlib
import itertools
import json
import os
import secrets
import shutil
import threading
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from ..errors import BrokenHome, NotFound
from ..home import no_space
from .listing import Labels, Listing, Tokens
from .peaks import COLUMN as PEAKS_ON
from .peaks import PEAKS, Peaks, rectangle

_FEATURES_PER_PART = 128
_FEATURES_PER_GROUP = 4
_ROWS_PER_GROUP = 16_384
_FEATURES_PER_FEATURE_GROUP = 256
_FEATURE_GROUPS = 512
"""Row groups of features.parquet, about, of very many features: each costs every query some 50 µs a column."""

_EDGES = b"histogram_edges"
_PARTS = b"saescope_part_starts"
"""First feature of each part, a JSON list in the metadata of features.parquet."""

STRATA = ("top", "q4", "q3", "q2", "q1", "none")
"""Examples are shown in this order: strongest first."""

MEASURES = ("token_concentration", "context_diversity", "consistency")
"""Columns beside the plain ones, worked out when features are labelled; null before."""

pc: Any = pyarrow.compute  # its functions are made when it is imported: no type checker knows them

Rows = list[dict[str, Any]]


def write_extraction(folder: Path, features: pa.Table, examples: pa.Table | Iterable[pa.Table]) -> None:
    """Write an extraction's two tables into a folder.

    features: one row per feature, column `index` 0..n-1 in order; `histogram_edges` (JSON) in its metadata.
    examples: sorted by feature; one table, or several that follow each other without sharing a feature. The tokens
    that features peak on are found in them, and stand in the file of features as one more column.
    Raises NoSpace when the disk is full, and then leaves nothing behind.
    """
    index = features.column("index").to_numpy()
    if not np.array_equal(index, np.arange(len(index))):
        raise ValueError("features: the index must be 0, 1, 2, … in order")
    parts, place = folder / "examples", folder / "features.parquet"
    peaks = Peaks(len(index))
    try:
        parts.mkdir()
        starts = _write_examples(parts, [examples] if isinstance(examples, pa.Table) else examples, peaks)
        metadata = {**(features.schema.metadata or {}), _PARTS: json.dumps(starts).encode()}
        pq.write_table(
            features.append_column(PEAKS_ON, peaks.column()).replace_schema_metadata(metadata),
            place,
            row_group_size=max(_FEATURES_PER_FEATURE_GROUP, len(index) // _FEATURE_GROUPS),
            **_written_as(features.schema.append(pa.field(PEAKS_ON, pa.list_(pa.int32())))),
        )
    except BaseException as error:
        shutil.rmtree(parts, ignore_errors=True)
        place.unlink(missing_ok=True)
        if isinstance(error, OSError) and (full := no_space(error, folder)):
            raise full from None
        raise


def _write_examples(folder: Path, tables: Iterable[pa.Table], peaks: Peaks) -> list[int]:
    """Write the parts, some at a time, and return the first feature of each."""
    total = len(peaks.ids)
    starts: list[int] = []
    running: list[Future[None]] = []
    empty: pa.Table | None = None
    workers = min(4, os.cpu_count() or 1)
    with ThreadPoolExecutor(workers) as pool:
        for table in tables:
            empty = table.slice(0, 0)
            for first, part in _cut(table, starts[-1] if starts else -1, total):
                peaks.see(part)
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
    options = {**_written_as(part.schema, squeezed=["activations"]), "write_statistics": ["feature"]}
    with pq.ParquetWriter(path, part.schema, **options) as writer:
        for start, end in _groups(part.column("feature").to_numpy()):
            writer.write_table(part.slice(start, end - start), row_group_size=end - start)


def _written_as(schema: pa.Schema, squeezed: Collection[str] = ()) -> dict[str, Any]:
    """How columns are encoded: whole numbers as their differences, text by a dictionary, all without compression.

    Differences in a few bits each are as small as what zstd makes of the numbers, and who reads a small group spends
    more on preparing to decompress every column than on anything else. squeezed: floats that are mostly zero.
    """
    kinds = {
        f"{field.name}.list.element" if pa.types.is_list(field.type) else field.name: field.type for field in schema
    }
    leaves = {path: kind.value_type if pa.types.is_list(kind) else kind for path, kind in kinds.items()}
    return {
        "column_encoding": {path: "DELTA_BINARY_PACKED" for path, kind in leaves.items() if pa.types.is_integer(kind)},
        "use_dictionary": [path for path, kind in leaves.items() if pa.types.is_string(kind)],
        "compression": {path: "ZSTD" if path.split(".")[0] in squeezed else "NONE" for path in leaves},
    }


def _groups(feature: np.ndarray) -> Iterator[tuple[int, int]]:
    """Row ranges that hold whole features: at most 4 of them, and few rows unless one feature has many."""
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
        self._measures = folder / "measures.parquet"
        with self._reading():
            self._metadata = pq.read_metadata(self._file)
            self.schema: pa.Schema = self._metadata.schema.to_arrow_schema()
            named = self._metadata.metadata or {}
            self._starts: list[int] = json.loads(named[_PARTS])
        self.total: int = self._metadata.num_rows
        """Features, dead ones included."""
        self.histogram_edges: list[float] = json.loads(named.get(_EDGES, b"[]"))
        """Bin edges shared by every feature's histogram, in units of activation."""
        self._opened = threading.local()
        """The file of features, held open by each thread that asks for one after the other."""
        self._measured_at = 0
        self._lasts: dict[int, list[int]] = {}
        """The last feature of each row group of the parts looked at."""

    @cached_property
    def listing(self) -> Listing:
        """The plain columns of every feature, held in memory."""
        plain = [field.name for field in self.schema if not pa.types.is_nested(field.type)]
        table = self.to_arrow(plain)
        measures = pq.ParquetFile(self._measures).read() if self.measured else None
        for name in MEASURES:
            column = measures.column(name) if measures else pa.nulls(self.total, pa.float64())
            table = table.append_column(name, column)
        return Listing(table, self._written)

    def _written(self) -> np.ndarray:
        return self._rectangle("writes_most_ids")

    @cached_property
    def peaks(self) -> np.ndarray | None:
        """Ids of the tokens that features peak on, int32 [features, PEAKS], -1 for none; None in files of before."""
        return self._rectangle(PEAKS_ON, PEAKS) if PEAKS_ON in self.schema.names else None

    def _rectangle(self, column: str, width: int = 0) -> np.ndarray:
        """A column of lists as int32 [features, width], -1 behind the end of a list; the width of the longest if 0."""
        parts = []
        for batch in self.batches([column]):
            lists = batch.column(0)
            longest = width or pc.max(pc.list_value_length(lists)).as_py() or 0
            parts.append(rectangle(lists, longest))
        found = np.full((self.total, width or max((part.shape[1] for part in parts), default=0)), -1, np.int32)
        first = 0
        for part in parts:
            found[first : first + len(part), : part.shape[1]] = part
            first += len(part)
        return found

    def batches(self, columns: Collection[str]) -> Iterator[pa.RecordBatch]:
        """Some columns of every feature, some thousand features at a time."""
        with self._reading(), pq.ParquetFile(self._file, metadata=self._metadata) as file:
            yield from file.iter_batches(4096, columns=[*columns], use_threads=False)

    def to_arrow(self, columns: Collection[str] | None = None) -> pa.Table:
        """Every feature, or some columns of every feature."""
        with self._reading(), pq.ParquetFile(self._file, metadata=self._metadata) as file:
            return file.read(None if columns is None else [*columns])

    def examples_arrow(self) -> pa.Table:
        """Every example of every feature."""
        with self._reading():
            return pa.concat_tables([pq.ParquetFile(self._part(part)).read() for part in range(len(self._starts))])

    def feature(self, index: int, columns: Collection[str] | None = None) -> dict[str, Any]:
        """Everything known of one feature, or some columns; NotFound outside 0..n-1."""
        self.check(index)
        group, row = divmod(index, self._metadata.row_group(0).num_rows)
        named = None if columns is None else [*columns]
        with self._reading():
            file = getattr(self._opened, "file", None)
            if file is None:
                file = self._opened.file = pq.ParquetFile(self._file, metadata=self._metadata, pre_buffer=False)
            return file.read_row_group(group, columns=named, use_threads=False).slice(row, 1).to_pylist()[0]

    def examples(self, index: int, stratum: str | None = None) -> Rows:
        """One feature's examples, strongest stratum first, by rank; or those of one stratum."""
        return as_rows(self.examples_of(index, stratum))

    def examples_of(self, index: int, stratum: str | None = None) -> pa.Table:
        """The same as a table; one without columns where there are none."""
        self.check(index)
        place = self._place(index)
        if place is None:
            return pa.table({})
        table = self._read_group(*place)
        start, end = np.searchsorted(table.column("feature").to_numpy(), [index, index + 1])
        strata, ranks = (table.column(name).slice(start, end - start).to_pylist() for name in ("stratum", "rank"))
        order = {name: place for place, name in enumerate(STRATA)}
        chosen = [
            (order.get(name, len(order)), name, rank, start + row)
            for row, (name, rank) in enumerate(zip(strata, ranks, strict=True))
            if stratum is None or name == stratum
        ]
        rows = [row for *_, row in sorted(chosen)]
        first = rows[0] if rows else 0
        if rows == [*range(first, first + len(rows))]:  # as extractions write them
            return table.slice(first, len(rows))
        return table.take(pa.array(rows, pa.int64()))

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
        """(features that match, the first `limit` of them with their labels and scores).

        sort: a plain column, label, clarity, detection, detection_low or fuzzing; order: by default ascending for
        index and label, else descending. where: conditions as in `where.py`. search: words that must all
        stand, in any case, in a feature's label or in the tokens it writes most (`tokens` gives the text of
        each token id).
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
            found = self._place(index)
            if found is None:
                yield index, []
                continue
            if found != group:
                group, table = found, self._read_group(*found)
                bounds = table.column("feature").to_numpy()
            start, end = np.searchsorted(bounds, [index, index + 1])
            assert table is not None
            yield index, as_rows(table.slice(start, end - start))

    def strongest(self, features: Collection[int], count: int) -> "pa.Table":
        """The first `count` of the strongest examples of some ascending features, as one table without activations."""
        columns = ["feature", "rank", "sample", "peak", "start", "token_ids", "stratum"]
        groups = dict.fromkeys(place for index in features if (place := self._place(index)) is not None)
        wanted = pa.array(features, pa.int32())
        tables = []
        for part, group in groups:
            table = self._read_group(part, group, columns)
            held = pc.and_(pc.equal(table.column("stratum"), "top"), pc.less(table.column("rank"), count))
            held = pc.and_(held, pc.is_in(table.column("feature"), wanted))
            tables.append(table.filter(held).drop_columns(["stratum"]))
        if not tables:
            return pa.table({name: pa.array([], pa.int64()) for name in columns[:-1]})
        return pa.concat_tables(tables).combine_chunks()

    def each_part(self, columns: Collection[str]) -> Iterator[pa.Table]:
        """Some columns of every example, part after part."""
        for part in range(len(self._starts)):
            with self._reading():
                yield pq.ParquetFile(self._part(part)).read([*columns])

    def write_measures(self, measures: dict[str, np.ndarray]) -> None:
        """Keep one number per feature and measure beside the tables, to be sorted by; NaN is none."""
        draft = self._measures.with_name(f".{secrets.token_hex(8)}.parquet")
        try:
            pq.write_table(pa.table({name: pa.array(each, from_pandas=True) for name, each in measures.items()}), draft)
            draft.replace(self._measures)
        finally:
            draft.unlink(missing_ok=True)

    @property
    def measured(self) -> bool:
        """Whether the measures are there."""
        return self._measures.exists()

    def measured_at(self) -> int:
        """When the measures were written, 0 while there are none; forgets what was read before that."""
        try:
            at = self._measures.stat().st_mtime_ns
        except OSError:
            at = 0
        if at != self._measured_at:
            self._measured_at = at
            self.__dict__.pop("listing", None)
        return at

    def _place(self, index: int) -> tuple[int, int] | None:
        """Part and row group that hold a feature's examples, if it has any."""
        part = bisect.bisect_right(self._starts, index) - 1
        if part < 0:
            return None
        lasts = self._lasts.get(part)
        if lasts is None:
            with self._reading():
                lasts = self._lasts[part] = _last_features(pq.read_metadata(self._part(part)))
        group = bisect.bisect_left(lasts, index)
        return None if group == len(lasts) else (part, group)

    def _read_group(self, part: int, group: int, columns: Collection[str] | None = None) -> pa.Table:
        """A row group of examples. Its file's footer is small and read anew: all of them would fill the memory."""
        named = None if columns is None else [*columns]
        with self._reading(), pq.ParquetFile(self._part(part), pre_buffer=False) as file:
            return file.read_row_group(group, columns=named, use_threads=False)

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


def as_rows(examples: pa.Table) -> Rows:
    """A dict for each row, as `to_pylist` makes them, in a fifth of the time."""
    columns = {name: _values(examples.column(name).combine_chunks()) for name in examples.column_names}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _values(column: pa.Array) -> list[Any]:
    if not pa.types.is_list(column.type) or column.null_count:
        numbers = pa.types.is_integer(column.type) or pa.types.is_floating(column.type)
        return column.to_numpy().tolist() if numbers and not column.null_count else column.to_pylist()
    offsets = column.offsets.to_numpy()
    first, inside = int(offsets[0]), (offsets - offsets[0]).tolist()
    flat = _values(column.values.slice(first, inside[-1]))
    return [flat[start:end] for start, end in itertools.pairwise(inside)]


def _last_features(metadata: pq.FileMetaData) -> list[int]:
    """The last feature of each row group."""
    if not metadata.num_row_groups:
        return []
    # not by metadata.schema: the two hold each other, some 300 kB that only a garbage collection would free
    first = metadata.row_group(0)
    names = [first.column(place).path_in_schema for place in range(first.num_columns)]
    column = names.index("feature")
    return [metadata.row_group(group).column(column).statistics.max for group in range(metadata.num_row_groups)]
