"""An SAE that somebody else trained, in somebody else's files: added, checked, extracted, labelled, fired, steered."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import saescope
from saescope.errors import WrongRequest
from saescope.sae import KINDS, SaeConfig, export_sae, read_sae, save_sae
from saescope.sae.kinds import COUNTED
from saescope.studio import Studio


@pytest.fixture(scope="module")
def foreign(journey: Studio, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The journey's own SAE as SAELens' files, which say nothing of us."""
    folder = tmp_path_factory.mktemp("foreign") / "sae"
    journey.export_sae("sae", folder)
    cfg = json.loads((folder / "cfg.json").read_text())
    for name in ("saescope_version", "hookpoint"):
        cfg["metadata"].pop(name, None)
    (folder / "cfg.json").write_text(json.dumps(cfg))
    return folder


def test_a_saelens_sae_is_added_checked_extracted_and_steered(journey: Studio, foreign: Path) -> None:
    added = journey.run(saescope.AddSae(name="theirs", source=str(foreign), model="tiny"))
    assert (added["hookpoint"], added["format"]) == ("layers.1.resid_post", "saelens")
    found = journey.run(saescope.CheckSae(sae="theirs", model="tiny", dataset="text", context=32))
    assert found["fits"], found["verdict"]
    mine = journey.features("found").to_arrow()
    extracted = journey.run(
        saescope.ExtractFeatures(saes=("theirs",), dataset="text", context=32, top_k=8, window=12, name="from-theirs")
    )
    assert extracted["features"] == 64
    theirs = journey.features("from-theirs").to_arrow()
    for column in ("active_tokens", "max", "density"):
        assert theirs.column(column).to_pylist() == mine.column(column).to_pylist()
    strongest = int(torch.tensor(theirs.column("max").to_pylist()).argmax())
    steered = journey.run(
        saescope.SteerText(
            sae="theirs", prompt="the people", edits=(saescope.Edit.parse(f"{strongest}:add:8"),), max_new_tokens=6
        )
    )
    assert steered["original"] != steered["steered"]


def test_the_same_sae_one_layer_off_is_caught_with_the_reason(journey: Studio, foreign: Path) -> None:
    for wrong in ("layers.0.resid_post", "layers.2.resid_post"):
        found = journey.run(
            saescope.CheckSae(sae=str(foreign), model="tiny", dataset="text", context=32, hookpoint=wrong)
        )
        assert (found["fits"], found["reason"]) == (False, "layer")
        assert "--hookpoint layers.1.resid_post" in found["verdict"]


@pytest.mark.parametrize("format", ["dictionary_learning", "sparsify"])
def test_the_same_sae_in_another_librarys_files_gives_the_same_extraction(
    format: str, journey: Studio, tmp_path: Path
) -> None:
    journey.export_sae("sae", tmp_path / "out", format)
    place = {"model": "tiny", "hookpoint": "layers.1.resid_post"}
    journey.run(saescope.AddSae(name=f"by-{format}", source=str(tmp_path / "out"), **place))
    journey.run(
        saescope.ExtractFeatures(
            saes=(f"by-{format}",), dataset="text", context=32, top_k=8, window=12, name=f"from-{format}"
        )
    )
    theirs, mine = (journey.features(name).to_arrow() for name in (f"from-{format}", "found"))
    assert theirs.column("active_tokens").to_pylist() == mine.column("active_tokens").to_pylist()
    torch.testing.assert_close(
        torch.tensor(theirs.column("max").to_pylist()), torch.tensor(mine.column("max").to_pylist())
    )


NEW = ("gated", "groupmax", "normtopk")


def write(kind: str, folder: Path, **changes: object) -> Path:
    """A random SAE of a kind for the tiny model, with decoder rows near its encoder's."""
    generator = torch.Generator().manual_seed(5)
    cfg = SaeConfig(kind, 32, 48, k=6 if kind in COUNTED else None, hookpoint="layers.1.resid_post")
    cfg = replace(cfg, **changes)  # type: ignore[arg-type]
    weights = {name: torch.randn(shape, generator=generator) * 0.3 for name, shape in KINDS[kind].shapes(cfg).items()}
    save_sae(KINDS[kind](cfg, weights), folder)
    return folder


@pytest.mark.parametrize("kind", NEW)
def test_kinds_that_formats_bring_extract_and_steer(kind: str, journey: Studio, tmp_path: Path) -> None:
    journey.run(saescope.AddSae(name=kind, source=str(write(kind, tmp_path / kind)), model="tiny"))
    done = journey.run(
        saescope.ExtractFeatures(saes=(kind,), dataset="text", context=32, top_k=4, name=f"of-{kind}", force=True)
    )
    sae = read_sae(tmp_path / kind)
    rows = journey.features(f"of-{kind}").to_arrow()
    assert sum(rows.column("active_tokens").to_pylist()) == pytest.approx(done["l0"] * done["tokens"])
    feature = rows.column("active_tokens").to_pylist().index(max(rows.column("active_tokens").to_pylist()))
    example = journey.features(f"of-{kind}").examples(feature)[0]
    _, model = journey.context.model("tiny")
    store = journey.context.tokens(journey.datasets()[0], model, 32)
    ids = torch.from_numpy(store.tokens[example["sample"]].astype("int64"))[None]
    f = sae.encode(model.read(ids, ["layers.1.resid_post"])["layers.1.resid_post"][0])
    assert float(f[example["start"] :, feature].max()) == pytest.approx(example["activation"], rel=1e-5)
    edit = saescope.Edit.parse(f"{feature}:ablate")
    steered = journey.run(saescope.SteerText(sae=kind, prompt="the people of", edits=(edit,), max_new_tokens=3))
    assert steered["prompt"] == "the people of"


def test_a_transcoder_extracts_where_it_reads_and_steers_where_it_writes(journey: Studio, tmp_path: Path) -> None:
    places = {"hookpoint": "layers.1.mlp_in", "hookpoint_out": "layers.1.mlp_out", "apply_b_dec_to_input": False}
    folder = write("topk", tmp_path / "t", d_out=32, skip=True, **places)
    journey.run(saescope.AddSae(name="transcoder", source=str(folder), model="tiny"))
    spec = {"saes": ("transcoder",), "dataset": "text", "context": 32, "top_k": 4, "name": "of-transcoder"}
    with pytest.raises(WrongRequest, match="explains less than nothing"):
        journey.run(saescope.ExtractFeatures(**spec))
    assert journey.run(saescope.ExtractFeatures(**spec, force=True))["l0"] <= 6
    sae = read_sae(folder)
    _, model = journey.context.model("tiny")
    edits = (saescope.Edit.parse("3:add:50:raw"),)
    steered = journey.run(
        saescope.SteerText(sae="transcoder", prompt="the people of", edits=edits, max_new_tokens=1, extraction=None)
    )
    ids = torch.tensor([[model.tokenizer.bos_token_id, *model.tokenizer("the people of")["input_ids"]]])

    def added(h: torch.Tensor) -> torch.Tensor:
        h = h.clone()
        h[:, 1:] += 50 * sae.W_dec[3]
        return h

    with model.editing("layers.1.mlp_out", added):
        expected = int(model.logits(ids)[0, -1].argmax())
    assert steered["steered_token_ids"] == [expected] or expected == model.tokenizer.eos_token_id


def test_signed_features_are_extracted_once_they_are_split(journey: Studio, tmp_path: Path) -> None:
    folder = write("abstopk", tmp_path / "signed")
    journey.run(saescope.AddSae(name="signed", source=str(folder), model="tiny"))
    with pytest.raises(WrongRequest, match="--split-signs"):
        journey.run(saescope.ExtractFeatures(saes=("signed",), dataset="text", context=32))
    journey.run(saescope.AddSae(name="split", source=str(folder), model="tiny", split_signs=True))
    done = journey.run(
        saescope.ExtractFeatures(saes=("split",), dataset="text", context=32, top_k=4, name="of-split", force=True)
    )
    assert done["features"] == 96
    assert done["l0"] == pytest.approx(6, abs=0.01)


def test_an_export_holds_what_the_home_holds(journey: Studio, foreign: Path, tmp_path: Path) -> None:
    export_sae(read_sae(foreign), tmp_path / "again")
    ours, theirs = (load_file(folder / "sae_weights.safetensors") for folder in (tmp_path / "again", foreign))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
