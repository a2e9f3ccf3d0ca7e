"""From a finished state to the two Arrow tables that the store keeps: `features` and `examples`.

Token ids are looked up only now, and only for what was kept.
"""

import json
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from . import ragged
from .hashing import feature_keys, pair_hash, sample_keys
from .ranked import Rows
from .state import ExtractionState
from .statistics import BINS, histogram_edges
from .sweep import TokenRows
from .weights import WeightFacts

STRATA = ("top", "q4", "q3", "q2", "q1", "none")
"""Strongest; the quartiles of activation from strongest to weakest, sampled; samples where the feature is silent."""


EXAMPLES = pa.schema(
    [
        ("feature", pa.int32()),
        ("stratum", pa.string()),
        ("rank", pa.int32()),
        ("sample", pa.int64()),
        ("peak", pa.int32()),
        ("activation", pa.float32()),
        ("start", pa.int32()),
        ("token_ids", pa.list_(pa.int32())),
        ("activations", pa.list_(pa.float32())),
        ("top_positions", pa.list_(pa.int32())),
    ]
)

_TABLE_BYTES = 1 << 25
"""Bytes of kept rows in one table of examples, about: some 1,600 features at top_k 100."""
_BLOCK = 4096
"""Samples whose valid positions are looked up at once."""


def feature_table(state: ExtractionState, facts: WeightFacts) -> pa.Table:
    """One row per feature, dead ones included."""
    columns = {name: column.cpu().numpy() for name, column in state.statistics.columns.items()}
    d_sae = state.settings.d_sae
    table = pa.table(
        {
            "index": pa.array(np.arange(d_sae, dtype=np.int32)),
            "active_tokens": columns["active_tokens"],
            "active_samples": columns["active_samples"],
            "density": columns["active_tokens"] / max(state.tokens, 1),
            "max": columns["max"],
            "mean": state.statistics.mean.cpu().numpy(),
            "second_moment": state.statistics.second_moment.cpu().numpy(),
            "dead": columns["active_tokens"] == 0,
            "histogram": _lists(columns["histogram"].reshape(d_sae, BINS)),
            **{name: _lists(array) for name, array in facts.arrays().items()},
        }
    )
    edges = json.dumps(histogram_edges()).encode()
    return table.replace_schema_metadata({b"histogram_edges": edges})


def example_tables(state: ExtractionState, rows: TokenRows, include_special: bool = False) -> Iterator[pa.Table]:
    """Every kept example, ordered by feature, stratum and rank: table after table, a range of features in each."""
    valid = _ValidPositions(rows, include_special)
    for low, high in state.settings.ranges(_TABLE_BYTES):
        parts = [_top(state, low, high), _quartiles(state, low, high), _silent(state, low, high, rows, valid)]
        parts = [part for part in parts if part]
        if parts:
            yield _examples(parts, low, high, rows, state.settings.window)
    yield EXAMPLES.empty_table()


Columns = dict[str, np.ndarray]


def _rows(rows: Rows) -> Columns:
    return {name: column.cpu().numpy() for name, column in rows.items() if name != "priority"}


def _top(state: ExtractionState, low: int, high: int) -> Columns:
    columns = _rows(state.top.kept_rows(low, high))
    if not columns:
        return {}
    stratum = np.zeros(len(columns["feature"]), dtype=np.int8)
    return columns | {"stratum": stratum, "rank": _rank_within(columns["feature"])}


def _quartiles(state: ExtractionState, low: int, high: int) -> Columns:
    """The hash-chosen active samples of each feature, cut into four by their own activations."""
    columns = _rows(state.sampled.kept_rows(low, high))
    if not columns:
        return {}
    feature = columns["feature"] - low
    count = np.bincount(feature, minlength=high - low)
    strength = np.int64(0x7FFFFFFF) - columns["activation"].view(np.int32)
    order = np.empty(len(feature), dtype=np.int64)
    ragged.order_within(strength << 32 | columns["sample"], np.r_[0, count.cumsum()], order)
    columns = {name: column[order] for name, column in columns.items()}
    stratum = (1 + 4 * (2 * _rank_within(feature) + 1) // (2 * count[feature])).astype(np.int8)
    return columns | {"stratum": stratum, "rank": _rank_within(feature.astype(np.int64) * 8 + stratum)}


def _silent(state: ExtractionState, low: int, high: int, rows: TokenRows, valid: "_ValidPositions") -> Columns:
    """Non-active samples, each with a window around a valid position that the hash picks."""
    kept = state.silent.kept_rows(low, high)
    if not kept:
        return {}
    feature, sample = kept["feature"].cpu(), kept["sample"].cpu()
    chance = pair_hash(feature_keys(state.settings.seed + 1, feature), sample_keys(sample)).numpy()
    peak = valid.pick(sample.numpy(), chance)
    length = np.asarray(rows.lengths)[sample.numpy()]
    window, first = state.settings.window, state.settings.first
    start = np.minimum(np.maximum(np.minimum(peak - window // 2, length - window), first), peak)
    n = len(feature)
    return {
        "feature": feature.numpy(),
        "sample": sample.numpy(),
        "activation": np.zeros(n, dtype=np.float32),
        "peak": peak.astype(np.int32),
        "start": start.astype(np.int32),
        "stratum": np.full(n, len(STRATA) - 1, dtype=np.int8),
        "rank": _rank_within(feature.numpy()),
    }


class _ValidPositions:
    """Which positions of each sample count, a bit for each, read when first asked for."""

    def __init__(self, rows: TokenRows, include_special: bool) -> None:
        self._rows, self._include_special = rows, include_special
        self._bits = np.zeros((rows.samples, -(-rows.context // 8)), dtype=np.uint8)
        self._read = np.zeros(-(-rows.samples // _BLOCK), dtype=bool)

    def pick(self, sample: np.ndarray, chance: np.ndarray) -> np.ndarray:
        """The (chance mod number of valid positions)-th valid position of each sample; 0 where there is none."""
        asked = np.zeros_like(self._read)
        asked[sample // _BLOCK] = True
        for block in np.flatnonzero(asked & ~self._read):
            part = slice(block * _BLOCK, min((block + 1) * _BLOCK, len(self._bits)))
            self._bits[part] = np.packbits(self._rows.valid(part, include_special=self._include_special), axis=1)
        self._read |= asked
        peak = np.empty(len(sample), dtype=np.int64)
        ragged.nth_set(self._bits, sample, chance, peak)
        return peak


def _rank_within(group: np.ndarray) -> np.ndarray:
    """Running number within each run of equal values."""
    n = len(group)
    starts = np.flatnonzero(np.r_[True, group[1:] != group[:-1]]) if n else np.zeros(0, dtype=np.int64)
    return (np.arange(n) - np.repeat(starts, np.diff(np.r_[starts, n]))).astype(np.int32)


class _Interleaved:
    """The rows of several parts, each ordered by feature, as they follow each other in one table: feature by feature,
    and of each feature part by part.
    """

    def __init__(self, parts: list[Columns], low: int, high: int) -> None:
        counts = [np.bincount(part["feature"] - low, minlength=high - low) for part in parts]
        total = np.sum(counts, axis=0)
        first = total.cumsum() - total
        self._parts: list[tuple[Columns, np.ndarray]] = []
        for part, count in zip(parts, counts, strict=True):
            self._parts.append((part, first[part["feature"] - low] + _rank_within(part["feature"])))
            first = first + count
        self._n = int(total.sum())

    def column(self, name: str, dtype: type) -> np.ndarray:
        """A column that every part has."""
        joined = np.empty(self._n, dtype=dtype)
        for part, place in self._parts:
            joined[place] = part[name]
        return joined

    def lists(self, name: str, offsets: np.ndarray, dtype: type) -> pa.ListArray:
        """The beginning of each row of a column [rows, width], zeros where a part has none; offsets say how much."""
        joined = np.zeros(offsets[-1], dtype=dtype)
        for part, place in self._parts:
            if name in part:
                ragged.lay_out(part[name], place, offsets, joined)
        return _list_array(offsets, joined)


def _examples(parts: list[Columns], low: int, high: int, rows: TokenRows, window: int) -> pa.Table:
    """The examples of features low to high, with their tokens."""
    for part in parts:
        part["positions"] = (part["top_positions"] >= 0).sum(1) if "top_positions" in part else part["rank"] * 0
    joined = _Interleaved(parts, low, high)
    sample, start = joined.column("sample", np.int64), joined.column("start", np.int32)
    offsets = _offsets(np.minimum(np.asarray(rows.lengths)[sample] - start, window))
    tokens = np.empty(offsets[-1], dtype=np.int32)
    ragged.cut_out(np.asarray(rows.tokens), sample, start, offsets, tokens)
    names = pa.DictionaryArray.from_arrays(pa.array(joined.column("stratum", np.int8)), pa.array(STRATA))
    return pa.Table.from_arrays(
        [
            pa.array(joined.column("feature", np.int32)),
            names.cast(pa.string()),
            pa.array(joined.column("rank", np.int32)),
            pa.array(sample),
            pa.array(joined.column("peak", np.int32)),
            pa.array(joined.column("activation", np.float32)),
            pa.array(start),
            _list_array(offsets, tokens),
            joined.lists("window", offsets, np.float32),
            joined.lists("top_positions", _offsets(joined.column("positions", np.int64)), np.int32),
        ],
        schema=EXAMPLES,
    )


def _offsets(lengths: np.ndarray) -> np.ndarray:
    """Where lists of these lengths begin and end when they stand one behind the other."""
    return np.r_[0, lengths.cumsum(dtype=np.int64)]


def _list_array(offsets: np.ndarray, values: np.ndarray) -> pa.ListArray:
    return pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), pa.array(values))


def _lists(array: np.ndarray) -> pa.ListArray:
    """A list column from a rectangle."""
    return _list_array(np.arange(len(array) + 1) * array.shape[1], np.ascontiguousarray(array).reshape(-1))
