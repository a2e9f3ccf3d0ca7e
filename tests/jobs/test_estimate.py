"""What an extraction is said to take, and what it then takes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import saescope
from saescope.errors import BadValue
from saescope.extraction.groups import ActiveBatch
from saescope.extraction.state import ExtractionState, Settings, state_bytes
from saescope.extraction.sweep import blocks
from saescope.jobs import checkpoint
from saescope.jobs.estimate import cells
from saescope.studio import Studio

from .conftest import D_SAE, add_sae, write_sae

FIELDS: dict[str, Any] = {"saes": ("sae",), "dataset": "text", "context": 16, "top_k": 5, "force": True}


def extract(studio: Studio, notify: Any = None, **changes: Any) -> dict[str, Any]:
    return studio.run(saescope.ExtractFeatures(**{**FIELDS, **changes}), notify=notify)


def files(studio: Studio) -> dict[Path, int]:
    places = (studio.home.artifacts, studio.home.work)
    return {path: path.stat().st_size for place in places for path in place.rglob("*") if path.is_file()}


def arrays_of(thing: object) -> list[np.ndarray]:
    """Every array that an object holds, however deep."""
    if isinstance(thing, np.ndarray):
        return [thing]
    parts = thing if isinstance(thing, tuple) else vars(thing).values() if hasattr(thing, "__dict__") else ()
    return [array for part in parts for array in arrays_of(part)]


# ---- --estimate ----


def test_an_estimate_extracts_and_keeps_nothing(studio: Studio) -> None:
    extract(studio, estimate=True)  # tokenising is kept
    before = files(studio)
    extract(studio, estimate=True)
    assert files(studio) == before
    assert studio.extractions() == []


def test_its_phases_add_up_and_are_those_of_a_run(studio: Studio) -> None:
    estimate = extract(studio, estimate=True)["estimate"]
    assert estimate["seconds"] == pytest.approx(sum(estimate["phases"].values()))
    run = extract(studio)
    assert list(estimate["phases"]) == list(run["phases"])
    assert list(run["estimate"]["phases"]) == list(run["phases"])


def test_its_counts_are_those_of_a_run(studio: Studio) -> None:
    estimate = extract(studio, estimate=True)["estimate"]
    run = extract(studio)
    assert estimate["samples"] == run["samples"]
    assert estimate["tokens"] == pytest.approx(run["tokens"], rel=0.05)
    kept = studio.features(run["extraction"]).examples_arrow().num_rows
    assert estimate["examples"] == pytest.approx(kept, rel=0.2)


def test_its_disk_is_about_what_is_written(studio: Studio) -> None:
    estimate = extract(studio, estimate=True)["estimate"]
    before = sum(files(studio).values())
    extract(studio)
    written = sum(files(studio).values()) - before
    assert written / 2 < estimate["disk_bytes"] < written * 2


def test_its_memory_holds_the_state(studio: Studio) -> None:
    settings = Settings(d_sae=4096, top_k=100)
    state = ExtractionState(settings)
    columns = sum(column.nbytes for column in state.statistics.columns.values())
    heaps = [array for part in (state.top, state.sampled, state.silent) for array in arrays_of(part)]
    held = {id(array.base if array.base is not None else array): array.nbytes for array in heaps}
    assert columns + sum(held.values()) <= state_bytes(settings).total
    small = extract(studio, estimate=True, top_k=1)["estimate"]["peak_memory_bytes"]
    assert small > state_bytes(Settings(d_sae=D_SAE, top_k=1)).total


def test_several_saes_are_estimated_together(studio: Studio, tmp_path: Path) -> None:
    add_sae(studio, "other", write_sae(tmp_path / "other", k=2), "layers.0.resid_post")
    one = extract(studio, estimate=True)
    two = extract(studio, estimate=True, saes=("sae", "other"))
    assert [each["sae"] for each in two["saes"]] == ["sae", "other"]
    assert two["estimate"]["examples"] > one["estimate"]["examples"]
    assert two["estimate"]["disk_bytes"] > 1.5 * one["estimate"]["disk_bytes"]


def test_gpus_are_rows_of_it(studio: Studio) -> None:
    found = extract(studio, estimate_for=("RTX 3090", "h200"))["gpus"]
    assert [gpu["name"] for gpu in found] == ["RTX 3090", "H200"]
    assert all(gpu["fits"] and gpu["seconds"] > 0 for gpu in found)
    assert found[0]["phases"]["saes"] > found[1]["phases"]["saes"]
    assert studio.extractions() == []


def test_an_unknown_gpu_is_refused_before_anything_is_loaded(studio: Studio) -> None:
    before = files(studio)
    with pytest.raises(BadValue, match="no figures for a GPU"):
        extract(studio, estimate_for=("abacus",))
    assert files(studio) == before


def test_positions_given_to_the_model_are_counted_block_by_block() -> None:
    class Rows:
        context = 1024
        samples = 11
        lengths = np.array([1024, 9, 5, 1, 7, 7, 3, 1024, 2, 4, 6], dtype=np.int32)

    for start, stop in ((0, 11), (2, 9), (4, 4), (8, 11)):
        expected = sum(
            int(Rows.lengths[block].max()) * (block.stop - block.start) for block in blocks(1024, start, stop)
        )
        assert cells(Rows(), start, stop) == expected  # type: ignore[arg-type]


# ---- a run's own estimate ----


def test_a_run_says_how_far_off_its_estimate_was(studio: Studio) -> None:
    said: list[str] = []
    run = extract(studio, said.append)
    estimate = run["estimate"]
    assert estimate["actual_seconds"] == run["seconds"]
    assert estimate["off_by"] == pytest.approx(run["seconds"] / estimate["seconds"] - 1)
    assert sum(note.startswith("estimate: ") for note in said) == 1


def test_the_phases_of_a_run_are_nearly_all_of_it(studio: Studio) -> None:
    run = extract(studio)
    assert 0.5 * run["seconds"] < sum(run["phases"].values()) <= run["seconds"]


# ---- the batch size ----


def test_auto_says_what_it_chose_and_why_and_changes_no_result(studio: Studio) -> None:
    said: list[str] = []
    run = extract(studio, said.append, name="planned")
    assert f"vectorization batch size {run['vectorization_batch_size']}: samples/s measured" in "\n".join(said)
    extract(studio, name="single", vectorization_batch_size=1)
    assert studio.features("planned").examples_arrow().equals(studio.features("single").examples_arrow())


def test_a_size_that_is_asked_for_is_taken(studio: Studio) -> None:
    said: list[str] = []
    assert extract(studio, said.append, vectorization_batch_size=3)["vectorization_batch_size"] == 3
    assert "vectorization batch size 3: as asked" in said


def test_the_size_that_memory_allowed_is_remembered_for_the_resume(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory suffices on trial and no longer in the pass, which is then killed after a save."""
    expected = extract(studio, name="undisturbed")
    monkeypatch.setattr("saescope.jobs.passes.SAVE_SECONDS", 0.0)
    monkeypatch.setattr("saescope.extraction.sweep.BLOCK_TOKENS", 8 * 16)
    save, load, measure = checkpoint.save_states, checkpoint.load_states, ExtractionState.measure
    short = False

    def then_short(*given: Any) -> list[ExtractionState]:
        nonlocal short
        short = True
        return load(*given)

    def few_only(self: ExtractionState, batch: ActiveBatch) -> Any:
        if short and len(batch) > 2:
            raise MemoryError
        return measure(self, batch)

    def then_die(work: Path, *given: Any) -> None:
        save(work, *given)
        if work.is_relative_to(studio.home.root):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "load_states", then_short)
        patch.setattr(checkpoint, "save_states", then_die)
        patch.setattr(ExtractionState, "measure", few_only)
        with pytest.raises(KeyboardInterrupt):
            extract(studio, name="resumed")
    said: list[str] = []
    resumed = extract(studio, said.append, name="resumed")
    assert resumed["vectorization_batch_size"] == 2
    assert "vectorization batch size 2: as it was when the run stopped" in said
    assert any("going on from sample 8" in note for note in said)
    assert resumed["samples"] == expected["samples"]
    examples = [studio.features(name).examples_arrow() for name in ("undisturbed", "resumed")]
    assert examples[0].equals(examples[1])
