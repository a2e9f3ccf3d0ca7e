"""The benchmark measures what it says, and the loops it compares with do the same work."""

import numpy as np
import pytest
import torch

import saescope
from oracles.slow_loop import slow_loop
from saescope.errors import BadValue
from saescope.jobs.bench_loops import SequentialLoop, VectorizedSketch
from saescope.specs import BenchExtract


def test_both_loops_keep_what_the_slow_loop_keeps():
    rng = np.random.default_rng(0)
    dense = rng.random((20, 9, 12), dtype=np.float32) * (rng.random((20, 9, 12)) < 0.2)
    dense[:, 0] = 0
    expected = slow_loop(dense, np.ones((20, 9), dtype=bool), np.full(20, 9), top_k=4, window=4, first=1)
    for loop in (SequentialLoop(12, 4), VectorizedSketch(12, 4)):
        for start in range(0, 20, 6):
            part = torch.from_numpy(dense[start : start + 6])
            loop.take(torch.arange(start, start + len(part)), part)
        for index, feature in enumerate(expected):
            rows = [(example["activation"], example["sample"]) for example in feature.examples()]
            assert loop.strongest(index) == rows


def test_a_benchmark_of_a_tiny_model(journey):
    spec = BenchExtract(
        model="tiny",
        dataset="text",
        hookpoint="layers.1.resid_post",
        context=32,
        d_sae=(64, 96),
        samples=(4, 8),
        kinds=("topk", "jumprelu", "relu"),
        saes=2,
        top_k=5,
    )
    before = {record.name for record in [*journey.models(), *journey.datasets(), *journey.saes()]}
    document = journey.bench_extract(spec)
    assert {record.name for record in [*journey.models(), *journey.datasets(), *journey.saes()]} == before
    assert [(cell["kind"], cell["d_sae"], cell["samples"]) for cell in document["cells"]] == [
        (kind, d_sae, samples) for kind in ("topk", "jumprelu", "relu") for d_sae in (64, 96) for samples in (4, 8)
    ]
    for cell in document["cells"]:
        seconds = cell["seconds"]
        assert cell["saes"] == 2
        assert seconds["floor"] == pytest.approx(seconds["forward"] + seconds["matmul"])
        parts = sum(seconds[f"ours_{name}"] for name in ("model", "encode", "reduce"))
        assert 0 < parts <= seconds["ours"]
        assert cell["ours_over_floor"] == pytest.approx(seconds["ours"] / seconds["floor"])
        assert cell["ours_over_own_floor"] == pytest.approx(
            seconds["ours"] / (seconds["ours_model"] + seconds["matmul"])
        )
        assert cell["ours_over_floor"] in cell["all_rounds"]
    assert [(each["kind"], each["d_sae"]) for each in document["loops"]] == [("topk", 64), ("topk", 96)]
    assert document["machine"]["threads"] == torch.get_num_threads()


def test_more_samples_than_there_are(journey):
    with pytest.raises(BadValue, match="samples: 1,000,000 are more than"):
        journey.bench_extract(
            saescope.specs.BenchExtract(
                model="tiny", dataset="text", hookpoint="layers.1.resid_post", context=32, samples=(1_000_000,)
            )
        )
