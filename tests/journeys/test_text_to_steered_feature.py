"""From text to a steered feature, on a tiny model: what each stage promises, checked with independent arithmetic."""

import numpy as np
import pytest
import torch

import saescope
from oracles.slow_loop import slow_loop
from saescope.jobs.fire_text import encode_text
from saescope.specs import Edit
from saescope.steering.edits import FeatureEdits
from saescope.studio import Studio


def dense_activations(studio: Studio, context: int = 32) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Activations of every sample by the plainest way there is: one sample at a time, dense."""
    _, model = studio.context.model("tiny")
    _, sae = studio.context.sae("sae")
    dataset = next(dataset for dataset in studio.datasets() if dataset.name == "text")
    rows = studio.context.tokens(dataset, model, context)
    dense = np.zeros((rows.samples, context, sae.d_sae), dtype=np.float32)
    for sample in range(rows.samples):
        length = int(rows.lengths[sample])
        ids = torch.from_numpy(rows.tokens[sample : sample + 1, :length].astype(np.int64))
        states = model.model(input_ids=ids, output_hidden_states=True).hidden_states
        dense[sample, :length] = sae.encode(states[2][0].float()).detach().numpy()
    return dense, rows.valid(slice(None)), np.asarray(rows.lengths)


def test_every_feature_is_listed_dead_ones_included(journey: Studio):
    listed = journey.list_features("found", sort="density")
    assert listed["total"] == len(listed["features"]) == 64
    densities = [feature["density"] for feature in listed["features"]]
    assert densities == sorted(densities, reverse=True)
    assert {feature["index"] for feature in listed["features"]} == set(range(64))
    assert all(feature["dead"] == (feature["active_tokens"] == 0) for feature in listed["features"])


def test_window_activations_agree_with_the_sae_run_on_that_sample(journey: Studio):
    dense, valid, _ = dense_activations(journey)
    checked = 0
    for index in range(64):
        for example in journey.show_feature("found", index)["examples"]:
            span = slice(example["start"], example["start"] + len(example["activations"]))
            expected = np.where(valid[example["sample"], span], dense[example["sample"], span, index], 0)
            np.testing.assert_allclose(example["activations"], expected, rtol=1e-4, atol=1e-5)
            assert len(example["tokens"]) == len(example["token_ids"]) == len(example["activations"])
            checked += example["stratum"] == "top"
    assert checked > 100


def test_extraction_equals_the_slow_loop_on_the_model(journey: Studio):
    """Up to activations that differ in their last bits, because batch and single passes round differently."""
    slow = slow_loop(*dense_activations(journey), top_k=8, window=12, first=1)
    for index in range(64):
        shown = journey.show_feature("found", index)
        top = [example for example in shown["examples"] if example["stratum"] == "top"]
        expected = slow[index].examples()
        assert len(top) == len(expected)
        np.testing.assert_allclose(
            [example["activation"] for example in top],
            [example["activation"] for example in expected],
            rtol=1e-4,
        )
        assert abs(shown["active_tokens"] - slow[index].active_tokens) <= 2
        if slow[index].active_tokens:
            assert shown["max"] == pytest.approx(slow[index].max, rel=1e-4)
            assert shown["mean"] == pytest.approx(slow[index].total / slow[index].active_tokens, rel=1e-2)


@pytest.mark.parametrize("batch_size", [1, 7, 32, 128])
def test_vectorization_batch_size_changes_nothing(journey: Studio, batch_size: int):
    name = f"batch-{batch_size}"
    document = journey.run(
        saescope.ExtractFeatures(
            saes=("sae",),
            dataset="text",
            context=32,
            top_k=8,
            window=12,
            name=name,
            vectorization_batch_size=batch_size,
        )
    )
    assert document["vectorization_batch_size"] == batch_size
    assert journey.features(name).to_arrow().equals(journey.features("found").to_arrow())
    assert journey.features(name).examples_arrow().equals(journey.features("found").examples_arrow())


def test_several_saes_in_one_pass_equal_each_alone(journey: Studio):
    document = journey.run(
        saescope.TrainSae(
            name="other", model="tiny", dataset="text", hookpoint="layers.0.resid_post", kind="jumprelu", d_sae=40,
            k=5, tokens=10_000, batch=512, buffer=8192, context=32,
        )
    )  # fmt: skip
    assert document["steps"] == 19
    both = journey.run(saescope.ExtractFeatures(saes=("sae", "other"), dataset="text", context=32, top_k=8, window=12))
    first, second = (entry["extraction"] for entry in both["extractions"])
    assert journey.features(first).examples_arrow().equals(journey.features("found").examples_arrow())
    journey.run(saescope.ExtractFeatures(saes=("other",), dataset="text", context=32, top_k=8, window=12, name="alone"))
    assert journey.features(second).examples_arrow().equals(journey.features("alone").examples_arrow())


def test_a_text_fires_the_features_its_tokens_fire(journey: Studio):
    text = "The people of these states work in peace."
    fired = journey.run(saescope.FireText(extraction="found", text=text, limit=5))
    _, model = journey.context.model("tiny")
    _, sae = journey.context.sae("sae")
    ids = torch.tensor([encode_text(text, model)])
    x = model.read(ids, ["layers.1.resid_post"])["layers.1.resid_post"][0]
    expected = sae.encode(x)
    expected[0] = 0
    assert len(fired["tokens"]) == ids.shape[1]
    for feature in fired["features"]:
        assert feature["activations"] == pytest.approx(expected[:, feature["index"]].tolist(), rel=1e-4, abs=1e-5)
    maxima = [feature["max"] for feature in fired["features"]]
    assert maxima == sorted(maxima, reverse=True)
    assert maxima[0] == pytest.approx(float(expected.max()), rel=1e-4)


def strongest(studio: Studio) -> int:
    return studio.list_features("found", sort="density", limit=1)["features"][0]["index"]


def test_steering_changes_the_text_and_an_amount_of_zero_does_not(journey: Studio):
    feature = strongest(journey)
    ask = {"sae": "sae", "prompt": "The people of", "max_new_tokens": 12}
    steered = journey.run(saescope.SteerText(edits=(Edit(feature=feature, mode="add", amount=8),), **ask))
    assert steered["steered"] != steered["original"]
    still = journey.run(saescope.SteerText(edits=(Edit(feature=feature, mode="add", amount=0),), **ask))
    assert still["steered_token_ids"] == still["original_token_ids"]
    assert still["steered"] == still["original"]


def test_an_ablated_feature_is_silent_in_the_steered_residual(journey: Studio):
    feature = strongest(journey)
    _, model = journey.context.model("tiny")
    _, sae = journey.context.sae("sae")
    ids = torch.tensor([encode_text("The people of these states work in peace.", model)])
    edits = FeatureEdits(sae, [Edit(feature=feature, mode="ablate")], {})
    edits.begin(ids.shape[1])
    with model.editing("layers.1.resid_post", edits):
        steered = model.read(ids, ["layers.1.resid_post"])["layers.1.resid_post"][0]
    plain = model.read(ids, ["layers.1.resid_post"])["layers.1.resid_post"][0]
    assert float(sae.encode(plain)[1:, feature].max()) > 0
    assert float(sae.encode(steered)[1:, feature].max()) == 0


def test_labels_and_export_reach_every_reader(journey: Studio, tmp_path):
    import pyarrow.parquet as pq

    journey.export_features("found", tmp_path / "features.parquet")
    table = pq.read_table(tmp_path / "features.parquet")
    assert table.num_rows == 64
    labelled = [label for label in table.column("label").to_pylist() if label]
    alive = 64 - journey.list_features("found", where="dead")["matching"]
    assert len(labelled) == alive > 0


def test_a_killed_extraction_goes_on_from_its_last_save(journey: Studio, monkeypatch):
    """The state is saved after every block; a later block fails; the same request goes on and gives the same answer."""
    from saescope.extraction import sweep
    from saescope.jobs import extract_features

    monkeypatch.setattr(sweep, "BLOCK_TOKENS", 256)
    reference = journey.run(
        saescope.ExtractFeatures(saes=("sae",), dataset="text", context=32, top_k=5, window=8, name="undisturbed")
    )
    monkeypatch.setattr(extract_features, "save_interval", lambda cost: 0.0)
    told = []

    def stop_later(progress):
        told.append(progress.done)
        if progress.phase == "extracting" and progress.done > 40:
            raise KeyboardInterrupt

    spec = saescope.ExtractFeatures(saes=("sae",), dataset="text", context=32, top_k=5, window=8, name="resumed")
    with pytest.raises(KeyboardInterrupt):
        journey.run(spec, stop_later)
    assert "resumed" not in [extraction.name for extraction in journey.extractions()]
    messages: list[str] = []
    document = journey.run(spec, None, messages.append)
    assert any("going on from sample" in message for message in messages)
    assert document["samples"] == reference["samples"]
    assert journey.features("resumed").to_arrow().equals(journey.features("undisturbed").to_arrow())
    assert journey.features("resumed").examples_arrow().equals(journey.features("undisturbed").examples_arrow())
