"""From a finished state to the two Arrow tables that the store keeps: `features` and `examples`.

Token ids are looked up only now, and only for what was kept.
"""

import json
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from .hashing import feature_keys, pair_hash, sample_keys
from .state import ExtractionState
from .statistics import BINS, histogram_edges
from .sweep import TokenRows
from .weights import WeightFacts

STRATA = ("top", "q4", "q3", "q2", "q1", "none")
"""Strongest; the quartiles of activation from strongest to weakest, sampled; samples where the feature is silent."""


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


def example_table(state: ExtractionState, rows: TokenRows, include_special: bool = False) -> pa.Table:
    """Every kept example, ordered by feature, stratum and rank."""
    parts = [
        part
        for part in (_top(state), _quartiles(state), _silent(state, rows, include_special))
        if part is not None and len(part["feature"])
    ]
    if not parts:
        return _example_schema().empty_table()
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    order = np.lexsort((columns["rank"], columns["stratum"], columns["feature"]))
    columns = {name: column[order] for name, column in columns.items()}
    return _examples(columns, rows, state.settings.window)


def _example_schema() -> pa.Schema:
    return pa.schema(
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


def _numpy(rows: dict[str, torch.Tensor]) -> dict[str, Any]:
    return {name: column.cpu().numpy() for name, column in rows.items() if name != "priority"}


def _top(state: ExtractionState) -> dict[str, Any] | None:
    columns = _numpy(state.top.kept_rows())
    if not columns:
        return None
    stratum = np.zeros(len(columns["feature"]), dtype=np.int8)
    return columns | {"stratum": stratum, "rank": _rank_within(columns["feature"])}


def _quartiles(state: ExtractionState) -> dict[str, Any] | None:
    """The hash-chosen active samples of each feature, cut into four by their own activations."""
    columns = _numpy(state.sampled.kept_rows())
    if not columns:
        return None
    order = np.lexsort((columns["sample"], -columns["activation"], columns["feature"]))
    columns = {name: column[order] for name, column in columns.items()}
    rank = _rank_within(columns["feature"])
    count = np.bincount(columns["feature"], minlength=state.settings.d_sae)[columns["feature"]]
    stratum = (1 + 4 * (2 * rank + 1) // (2 * count)).astype(np.int8)
    group = columns["feature"].astype(np.int64) * 8 + stratum
    return columns | {"stratum": stratum, "rank": _rank_within(group)}


def _silent(state: ExtractionState, rows: TokenRows, include_special: bool) -> dict[str, Any] | None:
    """Non-active samples, each with a window around a valid position that the hash picks."""
    kept = state.silent.kept_rows()
    if not kept:
        return None
    feature, sample = kept["feature"].cpu(), kept["sample"].cpu()
    chance = pair_hash(feature_keys(state.settings.seed + 1, feature), sample_keys(sample)).numpy()
    peak = _pick_valid(chance, sample.numpy(), rows, include_special)
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
        "top_positions": np.full((n, 1), -1, dtype=np.int32).repeat(5, 1),
        "window": np.zeros((n, window), dtype=np.float32),
        "stratum": np.full(n, len(STRATA) - 1, dtype=np.int8),
        "rank": _rank_within(feature.numpy()),
    }


def _pick_valid(chance: np.ndarray, sample: np.ndarray, rows: TokenRows, include_special: bool) -> np.ndarray:
    """The (chance mod number of valid positions)-th valid position of each sample; position 0 if there is none."""
    unique, of = np.unique(sample, return_inverse=True)
    peak = np.zeros(len(sample), dtype=np.int64)
    step = 4096
    for low in range(0, len(unique), step):
        ids = unique[low : low + step]
        valid = np.concatenate([rows.valid(slice(int(i), int(i) + 1), include_special=include_special) for i in ids])
        here = (of >= low) & (of < low + step)
        local = of[here] - low
        count = valid.sum(1)
        nth = chance[here] % np.maximum(count[local], 1)
        first_valid = np.argsort(~valid, axis=1, kind="stable")
        peak[here] = np.where(count[local] > 0, first_valid[local, nth], 0)
    return peak


def _rank_within(group: np.ndarray) -> np.ndarray:
    """Running number within each run of equal values."""
    n = len(group)
    starts = np.flatnonzero(np.r_[True, group[1:] != group[:-1]]) if n else np.zeros(0, dtype=np.int64)
    return (np.arange(n) - np.repeat(starts, np.diff(np.r_[starts, n]))).astype(np.int32)


def _examples(columns: dict[str, Any], rows: TokenRows, window: int) -> pa.Table:
    sample, start = columns["sample"], columns["start"].astype(np.int64)
    length = np.minimum(np.asarray(rows.lengths)[sample].astype(np.int64) - start, window)
    inside = np.arange(window) < length[:, None]
    position = np.minimum(start[:, None] + np.arange(window), rows.context - 1)
    offsets = np.r_[0, length.cumsum()].astype(np.int32)
    top = columns["top_positions"]
    top_offsets = np.r_[0, (top >= 0).sum(1).cumsum()].astype(np.int32)
    names = pa.DictionaryArray.from_arrays(pa.array(columns["stratum"]), pa.array(STRATA))
    return pa.Table.from_arrays(
        [
            pa.array(columns["feature"].astype(np.int32)),
            names.cast(pa.string()),
            pa.array(columns["rank"]),
            pa.array(sample),
            pa.array(columns["peak"].astype(np.int32)),
            pa.array(columns["activation"]),
            pa.array(start.astype(np.int32)),
            pa.ListArray.from_arrays(offsets, pa.array(_tokens(rows, sample, position)[inside])),
            pa.ListArray.from_arrays(offsets, pa.array(columns["window"][inside])),
            pa.ListArray.from_arrays(top_offsets, pa.array(top[top >= 0])),
        ],
        schema=_example_schema(),
    )


def _tokens(rows: TokenRows, sample: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Tokens at [row, column] positions, read sample after sample so that the disk is read forwards."""
    order = np.argsort(sample, kind="stable")
    out = np.empty(position.shape, dtype=np.int32)
    for part in np.array_split(order, max(1, len(order) // 65_536)):
        out[part] = rows.tokens[sample[part, None], position[part]]
    return out


def _lists(array: np.ndarray) -> pa.ListArray:
    """A list column from a rectangle."""
    offsets = (np.arange(len(array) + 1) * array.shape[1]).astype(np.int32)
    return pa.ListArray.from_arrays(offsets, pa.array(np.ascontiguousarray(array).reshape(-1)))
