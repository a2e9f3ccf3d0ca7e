"""What the pass keeps, where it goes on from, and what a failure leaves."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import saescope
from saescope.errors import BadValue, BrokenHome, NameTaken
from saescope.jobs import checkpoint, extract_features
from saescope.models.language_model import LanguageModel
from saescope.records import Progress
from saescope.store import catalogue
from saescope.studio import Studio

from .conftest import D_SAE, add_sae, write_sae


def extract(studio: Studio, sae: str = "sae", **changes: Any) -> dict[str, Any]:
    """Extract rows of 16 tokens in blocks of one, whatever the untrained SAE explains."""
    fields = {"saes": (sae,), "dataset": "text", "context": 16, "top_k": 5, "force": True, **changes}
    return studio.run(saescope.ExtractFeatures(**fields))


@pytest.fixture
def killed(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    """An extraction with `sae` that stopped after a save."""
    monkeypatch.setattr("saescope.jobs.passes.SAVE_SECONDS", 0.0)
    monkeypatch.setattr("saescope.extraction.sweep.BLOCK_TOKENS", 16)
    save = checkpoint.save_states

    def then_die(work: Path, *given: Any) -> None:
        save(work, *given)
        if work.is_relative_to(studio.home.root):  # the one that was only tried goes elsewhere
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save_states", then_die)
        with pytest.raises(KeyboardInterrupt):
            extract(studio)


def notes(studio: Studio, **changes: Any) -> list[str]:
    said: list[str] = []
    fields = {"saes": ("sae",), "dataset": "text", "context": 16, "top_k": 5, "force": True, **changes}
    studio.run(saescope.ExtractFeatures(**fields), notify=said.append)
    return said


@pytest.mark.usefixtures("killed")
def test_a_stopped_extraction_goes_on(studio: Studio) -> None:
    assert any("going on from sample" in note for note in notes(studio))


@pytest.mark.usefixtures("killed")
def test_the_same_weights_at_another_hookpoint_do_not_take_up_its_state(studio: Studio, tmp_path: Path) -> None:
    add_sae(studio, "elsewhere", tmp_path / "sae", "layers.0.resid_post")
    assert not any("going on" in note for note in notes(studio, saes=("elsewhere",)))


@pytest.mark.usefixtures("killed")
def test_the_same_weights_under_another_normalisation_do_not_take_up_its_state(studio: Studio, tmp_path: Path) -> None:
    add_sae(studio, "normed", write_sae(tmp_path / "normed", normalise="layer_norm"))
    assert not any("going on" in note for note in notes(studio, saes=("normed",)))


def test_a_window_and_a_top_k_beyond_the_data_are_those_of_the_data(studio: Studio) -> None:
    extract(studio, name="wide", window=10**9, top_k=2**31 - 1)
    extract(studio, name="narrow", window=16, top_k=1000)
    assert studio.features("wide").examples_arrow().equals(studio.features("narrow").examples_arrow())


def test_one_sample_and_a_batch_larger_than_it_are_enough(studio: Studio) -> None:
    assert extract(studio, samples=1, vectorization_batch_size=1000)["samples"] == 1


def test_an_extraction_that_fails_leaves_no_work_behind(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise BadValue("not finite")

    monkeypatch.setattr(extract_features, "sweep", broken)
    with pytest.raises(BadValue):
        extract(studio)
    assert list(studio.home.work.iterdir()) == []


def test_activations_that_are_no_numbers_stop_the_run_with_the_sample_named(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = LanguageModel.read

    def broken(self: LanguageModel, ids: Any, hookpoints: Any) -> Any:
        found = read(self, ids, hookpoints)
        for activations in found.values():
            activations[2:3] = float("nan")
        return found

    monkeypatch.setattr(LanguageModel, "read", broken)
    for estimate in (False, True):
        with pytest.raises(BadValue, match="not finite in sample 2, position 1"):
            extract(studio, estimate=estimate)


def test_a_name_taken_during_the_pass_costs_only_a_name_that_was_chosen(studio: Studio) -> None:
    first = extract(studio, name="first")["extraction"]
    record = catalogue.extraction(studio.db, first)

    def taking(name: str, id: str) -> Any:
        def tell(progress: Progress) -> None:
            if progress.phase == "writing" and name not in {each.name for each in studio.extractions()}:
                catalogue.add_extraction(studio.db, type(record)(**{**vars(record), "id": id, "name": name}))

        return tell

    fields: dict[str, Any] = {"saes": ("sae",), "dataset": "text", "context": 16, "top_k": 5, "force": True}
    made = studio.run(saescope.ExtractFeatures(**fields), progress=taking("sae-on-text", "A"))
    assert made["extraction"] == "sae-on-text-2"
    with pytest.raises(NameTaken):
        studio.run(saescope.ExtractFeatures(**fields, name="mine"), progress=taking("mine", "B"))
    assert {path.name for path in (studio.home.artifacts / "extractions").iterdir()} == {
        each.id for each in studio.extractions() if len(each.id) > 1
    }


def test_features_write_only_tokens_that_the_tokenizer_has(studio: Studio) -> None:
    extract(studio, name="found")
    for index in range(D_SAE):
        feature = studio.show_feature("found", index)
        written = [token["id"] for which in ("writes_most", "writes_least") for token in feature[which]]
        assert len(written) == 20
        assert max(written) < 384
    assert studio.run(saescope.LabelFeatures(extraction="found"))["labelled"] > 0


def test_one_document_to_a_row(studio: Studio) -> None:
    """Every document begins a row, which begins with BOS; the extraction counts the tokens of exactly these rows."""
    name = studio.datasets()[0].name
    sampled = studio.sample_dataset(name, model=studio.models()[0].name, context=16, limit=10**6, packing="documents")
    first_rows: dict[int, int] = {}
    for row in sampled["samples"]:
        assert row["token_ids"][0] == 0
        assert len({span["document"] for span in row["documents"]}) == 1
        first_rows.setdefault(row["documents"][0]["document"], row["documents"][0]["start"])
    assert set(first_rows.values()) == {0}
    assert len(first_rows) == studio.show_dataset(name)["documents"]
    document = extract(studio, packing="documents", name="by-document")
    assert document["samples"] == len(sampled["samples"])
    assert document["tokens"] == sum(sum(row["valid"]) for row in sampled["samples"])
    assert studio.run(saescope.LabelFeatures(extraction="by-document"))["labelled"] > 0


def test_neighbors_too_many_to_keep_are_found_for_the_feature_looked_at(
    studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extract(studio, name="kept")
    add_sae(studio, "twin", write_sae(tmp_path / "twin", apply_b_dec_to_input=False))
    monkeypatch.setattr("saescope.extraction.weights.NEIGHBOR_OPERATIONS", 0)
    extract(studio, sae="twin", name="left-out")
    assert studio.features("left-out").feature(3)["neighbor_ids"] == []
    for index in range(D_SAE):
        found = studio.show_feature("left-out", index)["neighbors"]
        assert found == studio.show_feature("kept", index)["neighbors"]
        assert len(found) == 10
    assert studio.run(saescope.LabelFeatures(extraction="left-out"))["labelled"] > 0
    for suffix in ("csv", "jsonl", "parquet"):
        assert studio.export_features("left-out", tmp_path / f"out.{suffix}")["features"] == D_SAE
    assert studio.list_features("left-out", search="people")["total"] == D_SAE
    weights = studio.home.artifact("saes", catalogue.sae(studio.db, "twin").id) / "sae_weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(BrokenHome, match="the files of SAE 'twin' are damaged or gone"):
        studio.show_feature("left-out", 0)


def test_neighbors_are_found_without_torch() -> None:
    program = "import sys, saescope.jobs.neighbors; sys.exit('torch' in sys.modules or 'numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
