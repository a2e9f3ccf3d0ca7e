"""How fast the store is: writing an extraction, listing its features, showing one.

    python benchmarks/store.py [--features 131072] [--examples 100] [--folder DIR]

Synthetic: Zipf-like token ids, windows of 32 tokens of which a tenth are active.
"""

import argparse
import json
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute

from saescope.home import Home, new_id
from saescope.records import Dataset, Extraction, Label, Model, SaeInfo
from saescope.store import Database, catalogue, open_database
from saescope.store.features import FeatureStore, write_extraction
from saescope.store.labels import add_labels, current_label_columns, current_labels

pc: Any = pyarrow.compute  # its functions are made when it is imported: no type checker knows them

WINDOW, BINS, VOCABULARY = 32, 64, 49_152
CHUNK = 8192


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--features", type=int, default=131_072)
    parser.add_argument("--examples", type=int, default=100, help="per feature")
    parser.add_argument("--folder", type=Path, default=None)
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir=args.folder))
    try:
        run(folder, args.features, args.examples)
    finally:
        shutil.rmtree(folder)


def run(folder: Path, features: int, examples: int) -> None:
    random = np.random.default_rng(0)
    table = feature_table(random, features)
    chunk = example_table(random, min(CHUNK, features), examples)

    def chunks() -> Iterator[pa.Table]:
        """The same chunk again and again, under other features: every row group is compressed on its own."""
        for first in range(0, features, CHUNK):
            part = chunk.slice(0, min(CHUNK, features - first) * examples)
            yield part.set_column(0, "feature", pc.add(part.column("feature"), pa.scalar(first, pa.int32())))

    start, cpu = time.perf_counter(), time.process_time()
    write_extraction(folder, table, chunks())
    seconds = time.perf_counter() - start
    size = sum(path.stat().st_size for path in folder.rglob("*.parquet"))
    cpu = time.process_time() - cpu
    say("write an extraction", seconds=seconds, cpu_seconds=cpu, megabytes=size / 1e6)

    start = time.perf_counter()
    store = FeatureStore(folder)
    store.list(limit=50)
    say("open, list the first time", milliseconds=1e3 * (time.perf_counter() - start))
    indices = random.integers(0, features, 500).tolist()
    timed("one feature (row)", [lambda i=i: store.feature(i) for i in indices])
    timed("one feature (examples)", [lambda i=i: store.examples(i) for i in indices])

    database = open_database(Home(folder / "home"))
    extraction = fill(database, features)
    start = time.perf_counter()
    add_labels(
        database,
        extraction,
        (Label(i, f"label {i % 997}", "lexical", None, "2026", 0.5, {"n": i}) for i in range(features)),
    )
    say("add a label to every feature", seconds=time.perf_counter() - start)
    start = time.perf_counter()
    current_labels(database, extraction)
    say("read every current label", seconds=time.perf_counter() - start)
    start = time.perf_counter()
    labels = current_label_columns(database, extraction)
    say("read every current label as columns", seconds=time.perf_counter() - start)
    page = indices[:50]
    timed("labels of 50 features", [lambda: current_labels(database, extraction, page)] * 100)

    tokens = pa.array([f"token{i}" for i in range(VOCABULARY)])
    store.list(search="x", labels=labels, tokens=tokens)
    queries = {
        "list, index": {},
        "list, sort density": {"sort": "density"},
        "list, sort label": {"sort": "label"},
        "list, where": {"where": "density<0.01 and not dead", "sort": "max"},
        "list, search labels": {"search": "label 42"},
        "list, search labels and tokens": {"search": "Token77"},
    }
    for name, query in queries.items():
        given = {"tokens": tokens} if "tokens" in name else {}
        timed(name, [lambda q=query, g=given: store.list(limit=50, labels=labels, **q, **g)] * 200)  # type: ignore[misc]
    say("peak memory", megabytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3)


def timed(name: str, calls: list[Callable[[], object]]) -> None:
    times = []
    for call in calls:
        start = time.perf_counter()
        call()
        times.append(1e3 * (time.perf_counter() - start))
    say(name, p50_ms=float(np.quantile(times, 0.5)), p99_ms=float(np.quantile(times, 0.99)))


def say(name: str, **figures: float) -> None:
    print(json.dumps({"measure": name, **{key: round(value, 2) for key, value in figures.items()}}), flush=True)


def lists(values: np.ndarray, length: int) -> pa.Array:
    return pa.ListArray.from_arrays(np.arange(0, len(values) + 1, length, dtype=np.int32), pa.array(values))


def feature_table(random: np.random.Generator, n: int) -> pa.Table:
    density = random.beta(0.5, 100, n)
    return pa.table(
        {
            "index": np.arange(n, dtype=np.int32),
            "active_tokens": (density * 1e6).astype(np.int64),
            "active_samples": (density * 1e5).astype(np.int64),
            "density": density,
            "max": random.gamma(4, 2, n).astype(np.float32),
            "mean": random.gamma(2, 1, n),
            "second_moment": random.gamma(2, 2, n),
            "dead": density < 1e-6,
            "histogram": lists(random.integers(0, 1000, n * BINS), BINS),
            "writes_most_ids": lists(random.integers(0, VOCABULARY, n * 10).astype(np.int32), 10),
            "writes_most_logits": lists(random.random(n * 10, np.float32), 10),
            "writes_least_ids": lists(random.integers(0, VOCABULARY, n * 10).astype(np.int32), 10),
            "writes_least_logits": lists(random.random(n * 10, np.float32), 10),
            "neighbor_ids": lists(random.integers(0, n, n * 10).astype(np.int32), 10),
            "neighbor_cosines": lists(random.random(n * 10, np.float32), 10),
        }
    ).replace_schema_metadata({"histogram_edges": json.dumps(list(range(BINS + 1)))})


def example_table(random: np.random.Generator, n: int, examples: int) -> pa.Table:
    rows = n * examples
    tokens = (random.pareto(0.3, rows * WINDOW) % VOCABULARY).astype(np.int32)
    active = random.random(rows * WINDOW, np.float32) < 0.1
    activations = np.where(active, random.random(rows * WINDOW, np.float32) * 8, 0).astype(np.float32)
    rank = np.tile(np.arange(examples, dtype=np.int32), n)
    start = random.integers(0, 96, rows).astype(np.int32)
    return pa.table(
        {
            "feature": np.repeat(np.arange(n, dtype=np.int32), examples),
            "stratum": pa.array(["top"]).take(np.zeros(rows, np.int32)),
            "rank": rank,
            "sample": random.integers(0, 100_000, rows),
            "peak": start + random.integers(0, WINDOW, rows).astype(np.int32),
            "activation": random.random(rows, np.float32) * 8,
            "start": start,
            "token_ids": lists(tokens, WINDOW),
            "activations": lists(activations, WINDOW),
            "top_positions": lists(random.integers(0, 128, rows * 5).astype(np.int32), 5),
        }
    )


def fill(db: Database, features: int) -> str:
    extraction = new_id()
    catalogue.add_dataset(db, Dataset(new_id(), "d", "", None, "", 1, 0, 1, ""))
    catalogue.add_model(db, Model(new_id(), "m", "", None, "", "", "", 2, 16, 128, 64, "", "", {}, ""))
    catalogue.add_sae(db, SaeInfo(new_id(), "s", "topk", 16, features, "m", "embed", "", "", {}, ""))
    catalogue.add_extraction(
        db,
        Extraction(extraction, "e", "s", "m", "d", "embed", 1, 1, features, 128, 100, {}, {}, ""),
    )
    return extraction


if __name__ == "__main__":
    main()
