"""`train --estimate` and the caches of activations: what they say, and that they leave nothing behind."""

from typing import Any

import pytest

import saescope
from saescope.errors import BadValue, NotFound
from saescope.store import catalogue, jobs
from saescope.studio import Studio

FIELDS: dict[str, Any] = {
    "model": "wide", "dataset": "text", "hookpoint": "layers.1.resid_post", "d_sae": 24, "k": 3, "context": 16,
    "batch": 64, "tokens": 64 * 30, "buffer": 256,
}  # fmt: skip


def test_an_estimate_says_what_a_run_takes_and_leaves_nothing(studio: Studio) -> None:
    several = [
        saescope.TrainSae(**FIELDS, kind=kind, name=kind, estimate=True) for kind in ("topk", "batchtopk", "gated")
    ]
    before = len(jobs.jobs(studio.db)), catalogue.saes(studio.db)
    document = studio.run(saescope.TrainSaes(saes=tuple(several)))
    here = document["estimate"]
    assert here["seconds"] == pytest.approx(sum(here["phases"].values()))
    assert all(value > 0 for value in here["phases"].values())
    assert here["steps"] == 30
    assert here["tokens"] == 64 * 30
    assert here["peak_memory_bytes"] > 0
    assert [each["kind"] for each in document["saes"]] == ["topk", "batchtopk", "gated"]
    sizes = [each["weights_bytes"] for each in document["saes"]]
    d_in = studio.context.model("wide")[1].d_model
    assert sizes[0] == 4 * (2 * 24 * d_in + 24 + d_in)
    assert here["disk_bytes"] == sum(sizes)
    assert (len(jobs.jobs(studio.db)), catalogue.saes(studio.db)) == before
    assert list(studio.home.work.iterdir()) == []


def test_drawing_activations_again_reads_fewer(studio: Studio) -> None:
    once, often = (
        studio.run(saescope.TrainSae(**{**FIELDS, "tokens": 64 * 300}, reuse=reuse, estimate=True))["estimate"]
        for reuse in (1, 4)
    )
    assert often["tokens_read"] < once["tokens_read"] / 2
    assert often["steps"] == once["steps"]


def test_a_transcoder_and_a_crosscoder_are_estimated_too(studio: Studio) -> None:
    pair = {**FIELDS, "hookpoint": "layers.1.mlp_in", "hookpoint_out": "layers.1.mlp_out"}
    both = {**FIELDS, "hookpoint": "layers.0.resid_post+layers.1.resid_post", "kind": "crosscoder"}
    for fields in (pair, both):
        assert studio.run(saescope.TrainSae(**fields, estimate=True))["estimate"]["seconds"] > 0


def test_caches_are_listed_and_removed_by_the_beginning_of_their_ids(studio: Studio) -> None:
    assert studio.caches() == []
    studio.run(saescope.TrainSae(**FIELDS, cache="float16", name="cached"))
    (cache,) = studio.caches()
    assert cache["present"] > 0
    assert cache["hookpoint"] == "layers.1.resid_post"
    for wrong in ("", "x", "../../artifacts", cache["id"] + "0"):
        with pytest.raises(NotFound):
            studio.remove_cache(wrong)
    assert studio.remove_cache(cache["id"][:8]) == {"removed": "cache", "name": cache["id"]}
    assert studio.caches() == []
    assert not studio.home.artifact("activations", cache["id"]).exists()


def test_a_cache_stays_while_a_training_may_be_using_it(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    studio.run(saescope.TrainSae(**FIELDS, cache="float16", name="cached"))
    (cache,) = studio.caches()
    (job,) = jobs.jobs(studio.db, verb="train_sae")
    running = lambda db, state: [job] if state == "running" else []  # noqa: E731
    monkeypatch.setattr("saescope.jobs.activation_cache.job_store.jobs", running)
    with pytest.raises(BadValue, match="running"):
        studio.remove_cache(cache["id"])
    assert studio.caches() == [cache]
