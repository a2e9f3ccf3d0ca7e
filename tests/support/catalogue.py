"""Small things for the store's tests."""

import json

import numpy as np
import pyarrow as pa

from saescope.home import new_id
from saescope.records import Dataset, Extraction, Model, SaeInfo


def a_dataset(name: str = "sotu") -> Dataset:
    return Dataset(new_id(), name, "sotu/*.txt", None, "f00d", 249, 1, 12_000_000, "2026-11-23T19:00:00Z")


def a_model(name: str = "smol") -> Model:
    hookpoints = {"embed": 16, "layers.0.resid_post": 16}
    return Model(
        new_id(),
        name,
        "org/smol",
        None,
        "float32",
        "none",
        "llama",
        2,
        16,
        128,
        64,
        "m0",
        "t0",
        hookpoints,
        "2026-11-23",
    )


def an_sae(name: str = "topk-64", model: str = "smol") -> SaeInfo:
    metrics = {"fvu": 0.125, "l0": 32.0, "dead": 2.0, "ce_recovered": None}
    return SaeInfo(new_id(), name, "topk", 16, 64, model, "layers.0.resid_post", "sotu", "5ae", metrics, "2026-11-23")


def an_extraction(name: str = "topk-64-sotu", sae: str = "topk-64", created: str = "2026-11-23") -> Extraction:
    provenance = {"probe": {"fvu": 0.1, "l0": 32.0}, "sae": "5ae"}
    return Extraction(
        new_id(),
        name,
        sae,
        "smol",
        "sotu",
        "layers.0.resid_post",
        10,
        1270,
        64,
        128,
        100,
        {"top_k": 100},
        provenance,
        created,
    )


def a_features_table(n: int) -> pa.Table:
    """Features of which every seventh is dead, and whose densities repeat."""
    index = np.arange(n)
    dead = index % 7 == 6
    active = np.where(dead, 0, 10 * (index % 5 + 1))
    return pa.table(
        {
            "index": pa.array(index, pa.int32()),
            "active_tokens": pa.array(active, pa.int64()),
            "active_samples": pa.array(active // 2, pa.int64()),
            "density": pa.array(active / 1000),
            "max": pa.array(np.where(dead, 0, 1 + index % 3), pa.float32()),
            "mean": pa.array([None if d else float(i % 4) for i, d in zip(index, dead, strict=True)], pa.float64()),
            "second_moment": pa.array(np.where(dead, 0.0, 2.0)),
            "dead": pa.array(dead),
            "histogram": pa.array([[0, int(count), 0] for count in active], pa.list_(pa.int64())),
            "writes_most_ids": pa.array([[int(i) % 11, 20] for i in index], pa.list_(pa.int32())),
            "writes_most_logits": pa.array([[0.5, 0.25]] * n, pa.list_(pa.float32())),
        }
    ).replace_schema_metadata({"histogram_edges": json.dumps([0.0, 0.1, 1.0, 10.0])})


def an_examples_table(features: np.ndarray, per_feature: int = 3, window: int = 4) -> pa.Table:
    """Examples of these features: `per_feature` at the top and one of each other stratum, sorted."""
    strata = ["none", "q1", "q4", *["top"] * per_feature]
    ranks = [0, 0, 0, *range(per_feature)]
    n = len(features) * len(strata)
    feature = np.repeat(features, len(strata))
    return pa.table(
        {
            "feature": pa.array(feature, pa.int32()),
            "stratum": pa.array(strata * len(features), pa.string()),
            "rank": pa.array(ranks * len(features), pa.int32()),
            "sample": pa.array(np.arange(n), pa.int64()),
            "peak": pa.array([2] * n, pa.int32()),
            "activation": pa.array(np.arange(n) / 8, pa.float32()),
            "start": pa.array([0] * n, pa.int32()),
            "token_ids": pa.array([[int(i) % 50] * window for i in range(n)], pa.list_(pa.int32())),
            "activations": pa.array([[0.0] * (window - 1) + [i / 8] for i in range(n)], pa.list_(pa.float32())),
            "top_positions": pa.array([[2, 1]] * n, pa.list_(pa.int32())),
        }
    )
