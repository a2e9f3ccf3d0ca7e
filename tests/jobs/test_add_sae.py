"""Bringing an SAE in."""

import json
from pathlib import Path
from typing import Any

import pytest

import saescope
from saescope.errors import BadSource, BadValue, NotFound, Unreachable, WrongRequest
from saescope.studio import Studio
from support.hub_server import hub_server

from .conftest import add_sae, write_sae, write_transcoder


def test_an_sae_is_known_by_its_form_as_well_as_its_weights(studio: Studio, tmp_path: Path) -> None:
    add_sae(studio, "again", tmp_path / "sae")
    add_sae(studio, "normed", write_sae(tmp_path / "normed", normalise="layer_norm"))
    add_sae(studio, "uncentred", write_sae(tmp_path / "uncentred", apply_b_dec_to_input=False))
    prints = {sae.name: sae.fingerprint for sae in studio.saes()}
    assert prints["again"] == prints["sae"]
    assert len(set(prints.values())) == 3


# ---- from a hub ----


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with two SAEs of SAELens' layout and one in a .pt; its cache is empty."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    for name in ("HF_HUB_CACHE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "repo"
    write_sae(folder / "layer_1" / "small")
    write_sae(folder / "layer_1" / "other")
    (folder / "layer_1" / "small" / "notes.md").write_text("not needed")
    (folder / "pickled").mkdir()
    (folder / "pickled" / "ae.pt").write_bytes(b"\x80\x02}.")
    (folder / "pickled" / "config.json").write_text("{}")
    return folder


WEIGHTS = "layer_1/small/sae_weights.safetensors"


def add_far(studio: Studio, source: str = "hf:org/name/layer_1/small", **options: Any) -> dict[str, Any]:
    spec = saescope.AddSae(name="far", source=source, model="wide", hookpoint="layers.1.resid_post")
    return studio.run(spec, **options)


def test_only_what_an_sae_needs_is_fetched_and_the_commit_is_kept(
    studio: Studio, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    told: list[Any] = []
    with hub_server({"models/org/name": repo}, requests=asked) as url:
        monkeypatch.setenv("HF_ENDPOINT", url)
        added = add_far(studio, progress=told.append)
    fetched = {line.split("/resolve/")[1].split("/", 1)[1].split(" ")[0] for line in asked if "/resolve/" in line}
    assert fetched == {"layer_1/small/cfg.json", WEIGHTS}
    commit = next(line for line in asked if "/resolve/" in line).split("/resolve/")[1].split("/")[0]
    assert added["source"] == f"hf:org/name/layer_1/small@{commit}"
    assert any(each.phase == "fetch" and each.total for each in told)


def test_a_revision_can_be_asked_for_again(studio: Studio, repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with hub_server({"models/org/name": repo}) as url:
        monkeypatch.setenv("HF_ENDPOINT", url)
        pinned = add_far(studio)["source"]
        studio.remove("sae", "far")
        assert add_far(studio, pinned)["source"] == pinned
        with pytest.raises(NotFound, match="no such revision"):
            studio.run(saescope.AddSae(name="b", source="hf:org/name/layer_1/small@v9", model="wide"))


def test_a_download_that_was_cut_goes_on_where_it_ended(
    studio: Studio, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 512)  # what is written at once; 10 MB else
    asked: list[str] = []
    with hub_server({"models/org/name": repo}, cut=[WEIGHTS]) as url:
        monkeypatch.setenv("HF_ENDPOINT", url)
        with pytest.raises(Unreachable):
            add_far(studio)
    assert not any(sae.name == "far" for sae in studio.saes())
    with hub_server({"models/org/name": repo}, requests=asked) as url:
        monkeypatch.setenv("HF_ENDPOINT", url)
        add_far(studio)
    ranges = [line.rsplit("bytes=", 1)[1] for line in asked if WEIGHTS in line and "bytes=" in line]
    assert ranges, asked
    assert int(ranges[0].rstrip("-")) > 0


@pytest.mark.parametrize("wrong", [{"altered": [WEIGHTS]}, {"altered": ["layer_1/small/cfg.json"]}])
def test_a_file_with_another_hash_is_refused_and_fetched_anew_the_next_time(
    wrong: dict[str, Any], studio: Studio, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hub_server({"models/org/name": repo}, **wrong) as url:
        monkeypatch.setenv("HF_ENDPOINT", url)
        with pytest.raises(BadSource, match="its hash"):
            add_far(studio)
    with hub_server({"models/org/name": repo}) as url:
        monkeypatch.setenv("HF_ENDPOINT", url)
        assert add_far(studio)["d_sae"] == 13


def test_a_file_of_another_length_than_listed_is_refused(
    studio: Studio, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hub_server({"models/org/name": repo}, mislisted=[WEIGHTS]) as url:
        monkeypatch.setenv("HF_ENDPOINT", url)
        with pytest.raises(BadSource, match="did not arrive"):
            add_far(studio)
    assert not any(sae.name == "far" for sae in studio.saes())


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("hf:org/name", "holds 3 SAEs"),
        ("hf:org/name/layer_1", "holds 2 SAEs"),
        ("hf:org/name/pickled", r"are in a \.pt file"),
        ("hf:org/name/nowhere", "there is no SAE"),
        ("hf:org", "names no repository"),
        ("hf:org/name/../../etc", "names no repository"),
    ],
)
def test_a_source_that_means_no_sae_is_refused(
    source: str, words: str, studio: Studio, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hub_server({"models/org/name": repo}) as url:
        monkeypatch.setenv("HF_ENDPOINT", url)
        with pytest.raises(BadSource, match=words):
            add_far(studio, source)


# ---- where it reads and writes ----


def test_the_hookpoint_is_taken_from_the_files_when_none_is_given(studio: Studio, tmp_path: Path) -> None:
    folder = write_sae(tmp_path / "told", hookpoint="layers.2.resid_pre")
    assert studio.run(saescope.AddSae(name="a", source=str(folder), model="wide"))["hookpoint"] == "layers.2.resid_pre"
    notes: list[str] = []
    spec = saescope.AddSae(name="b", source=str(folder), model="wide", hookpoint="layers.1.resid_post")
    assert studio.run(spec, notify=notes.append)["hookpoint"] == "layers.1.resid_post"
    assert "layers.2.resid_pre" in notes[0]
    with pytest.raises(BadValue, match="do not say where"):
        studio.run(saescope.AddSae(name="c", source=str(tmp_path / "sae"), model="wide"))


def test_a_transcoder_is_added_with_the_place_it_writes_to(studio: Studio, tmp_path: Path) -> None:
    folder = write_transcoder(tmp_path / "transcoder")
    added = studio.run(saescope.AddSae(name="t", source=str(folder), model="wide", hookpoint="layers.1.mlp_in"))
    assert (added["hookpoint"], added["hookpoint_out"], added["d_out"]) == ("layers.1.mlp_in", "layers.1.mlp_out", 32)
    with pytest.raises(BadValue, match="where this transcoder writes"):
        studio.run(saescope.AddSae(name="u", source=str(folder), model="wide", hookpoint="layers.1.resid_post"))
    there = {"hookpoint": "embed", "hookpoint_out": "embed"}
    with pytest.raises(BadValue, match="no transcoder"):
        studio.run(saescope.AddSae(name="v", source=str(tmp_path / "sae"), model="wide", **there))


def test_signed_features_are_split_on_request(studio: Studio, tmp_path: Path) -> None:
    folder = write_sae(tmp_path / "signed", kind="abstopk")
    place = {"model": "wide", "hookpoint": "layers.1.resid_post"}
    assert studio.run(saescope.AddSae(name="a", source=str(folder), **place))["kind"] == "abstopk"
    with pytest.raises(WrongRequest, match="may be negative"):
        studio.run(saescope.ExtractFeatures(saes=("a",), dataset="text"))
    split = studio.run(saescope.AddSae(name="b", source=str(folder), split_signs=True, **place))
    assert (split["kind"], split["d_sae"]) == ("topk", 26)
    with pytest.raises(BadValue, match="no feature of a topk SAE is negative"):
        studio.run(saescope.AddSae(name="c", source=str(tmp_path / "sae"), split_signs=True, **place))


def test_what_the_files_leave_open_is_told_and_kept(studio: Studio, tmp_path: Path) -> None:
    folder = write_sae(tmp_path / "scaled")
    cfg = json.loads((folder / "cfg.json").read_text())
    (folder / "cfg.json").write_text(json.dumps(cfg | {"normalize_activations": "expected_average_only_in"}))
    notes: list[str] = []
    place = {"model": "wide", "hookpoint": "layers.1.resid_post"}
    studio.run(saescope.AddSae(name="a", source=str(folder), **place), notify=notes.append)
    assert "factor" in notes[0]
    assert studio.show_sae("a")["notes"] == notes
    studio.run(saescope.AddSae(name="b", source=str(folder), scale=0.5, **place))
    assert studio.show_sae("b")["notes"] == []


@pytest.mark.parametrize("format", ["saelens", "dictionary_learning", "sparsify"])
def test_an_sae_is_exported_in_every_format_and_can_be_added_again(format: str, studio: Studio, tmp_path: Path) -> None:
    studio.export_sae("sae", tmp_path / "out", format)
    spec = saescope.AddSae(name="back", source=str(tmp_path / "out"), model="wide", hookpoint="layers.1.resid_post")
    added = studio.run(spec)
    assert (added["kind"], added["k"], added["format"]) == ("topk", 4, "saescope" if format == "saelens" else format)


def test_an_export_that_a_format_cannot_hold_leaves_nothing(studio: Studio, tmp_path: Path) -> None:
    add_sae(studio, "normed", write_sae(tmp_path / "normed", normalise="layer_norm"))
    with pytest.raises(BadValue, match="layer_norm"):
        studio.export_sae("normed", tmp_path / "out", "sparsify")
    with pytest.raises(BadValue, match="unknown format"):
        studio.export_sae("normed", tmp_path / "out", "pickle")
    assert not [path for path in tmp_path.iterdir() if "out" in path.name]
