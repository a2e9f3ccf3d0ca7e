"""Bringing an SAE in."""

from pathlib import Path
from typing import Any

import pytest

import saescope
from saescope.studio import Studio

from .conftest import add_sae, write_sae


def test_an_sae_is_known_by_its_form_as_well_as_its_weights(studio: Studio, tmp_path: Path) -> None:
    add_sae(studio, "again", tmp_path / "sae")
    add_sae(studio, "normed", write_sae(tmp_path / "normed", normalise="layer_norm"))
    add_sae(studio, "uncentred", write_sae(tmp_path / "uncentred", apply_b_dec_to_input=False))
    prints = {sae.name: sae.fingerprint for sae in studio.saes()}
    assert prints["again"] == prints["sae"]
    assert len(set(prints.values())) == 3


def test_only_the_two_files_of_an_sae_are_fetched(
    studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def snapshot(repository: str, *, patterns: list[str], progress: object) -> Path:
        asked.append((repository, patterns))
        return tmp_path / "hub"

    write_sae(tmp_path / "hub" / "layer_1" / "small")
    monkeypatch.setattr("saescope.hub.snapshot", snapshot)
    studio.run(
        saescope.AddSae(name="far", source="hf:org/name/layer_1/small", model="wide", hookpoint="layers.1.resid_post")
    )
    files = ["layer_1/small/cfg.json", "layer_1/small/sae_weights.safetensors"]
    assert asked == [("org/name", files)]
