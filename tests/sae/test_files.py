"""Writing an SAE and reading it back; what SAELens itself must find in the files is in oracles/."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from saescope.errors import BadSource, Mismatch, NoSpace
from saescope.sae import KINDS, Sae, SaeConfig, load_sae, save_sae
from saescope.sae.kinds import COUNTED
from saescope.sae.names import hookpoint_name, transformer_lens_name


def make(kind: str, skip: bool = False, d_out: int | None = None, **metadata: object) -> Sae:
    cfg = SaeConfig(kind, 6, 16, model="smol", hookpoint="layers.8.resid_post", metadata=metadata)
    cfg = replace(cfg, k=4 if kind in COUNTED else None, d_out=d_out, skip=skip)
    if d_out is not None:
        cfg = replace(cfg, apply_b_dec_to_input=False, hookpoint_out="layers.8.mlp_out")
    weights = {name: torch.randn(shape) for name, shape in KINDS[kind].shapes(cfg).items()}
    weights["W_dec"] = torch.nn.functional.normalize(weights["W_dec"])
    return KINDS[kind](cfg, weights)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_comes_back_bit_for_bit(kind: str, tmp_path: Path) -> None:
    sae = make(kind, seed=7)
    save_sae(sae, tmp_path / "sae")
    back = load_sae(tmp_path / "sae")
    x = torch.randn(20, 6)
    assert (back.kind, back.k, back.cfg.model) == (kind, sae.k, "smol")
    assert back.cfg.hookpoint == "layers.8.resid_post"
    assert back.cfg.metadata["seed"] == 7
    assert torch.equal(back.encode(x), sae.encode(x))
    assert torch.equal(back(x), sae(x))
    save_sae(back, tmp_path / "again")
    for name in ("cfg.json", "sae_weights.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "sae" / name).read_bytes()


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_transcoder_comes_back_too(kind: str, skip: bool, tmp_path: Path) -> None:
    sae, x = make(kind, skip, d_out=5), torch.randn(20, 6)
    save_sae(sae, tmp_path)
    back = load_sae(tmp_path)
    assert (back.kind, back.cfg.d_out, back.cfg.skip) == (kind, 5, skip)
    assert (back.cfg.hookpoint, back.cfg.hookpoint_out) == ("layers.8.resid_post", "layers.8.mlp_out")
    assert torch.equal(back(x), sae(x))


@pytest.mark.parametrize("path", ["", "cfg.json", "sae_weights.safetensors"])
def test_the_folder_or_either_file_may_be_given(path: str, tmp_path: Path) -> None:
    save_sae(make("topk"), tmp_path)
    assert load_sae(tmp_path / path).kind == "topk"


def test_files_say_what_saelens_looks_for(tmp_path: Path) -> None:
    save_sae(make("batchtopk", training_architecture="batchtopk"), tmp_path)
    cfg = json.loads((tmp_path / "cfg.json").read_text())
    assert cfg["architecture"] == "jumprelu"
    assert cfg["metadata"]["training_architecture"] == "batchtopk"
    assert cfg["metadata"]["hook_name"] == "blocks.8.hook_resid_post"
    assert cfg["metadata"]["saescope_version"]
    assert int(cfg["metadata"]["sae_lens_version"].split(".")[0]) >= 6
    assert set(load_file(tmp_path / "sae_weights.safetensors")) == {"W_enc", "b_enc", "W_dec", "b_dec", "threshold"}


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("layers.0.resid_pre", "blocks.0.hook_resid_pre"),
        ("layers.12.mlp_out", "blocks.12.hook_mlp_out"),
        ("layers.3.attn_out", "blocks.3.hook_attn_out"),
        ("embed", "hook_embed"),
        ("blocks.5.attn.hook_z", "blocks.5.attn.hook_z"),
    ],
)
def test_hookpoints_translate_both_ways(ours: str, theirs: str) -> None:
    assert transformer_lens_name(ours) == theirs
    assert hookpoint_name(theirs) == ours


def change_cfg(folder: Path, **changes: object) -> None:
    cfg = json.loads((folder / "cfg.json").read_text())
    (folder / "cfg.json").write_text(json.dumps(cfg | changes))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"k": 17}, "k is 17"),
        ({"k": 0}, "k must be a positive whole number"),
        ({"k": 2.5}, "2.5"),
        ({"d_in": True}, "d_in"),
        ({"architecture": "temporal"}, "'temporal' is not supported"),
        ({"architecture": "saescope:quantum"}, "unknown"),
        ({"architecture": ["topk"]}, "not a word"),
        ({"normalize_activations": "covariance_whitening"}, "activation_whitening"),
        ({"normalize_activations": "batch_norm"}, "batch_norm"),
        ({"apply_b_dec_to_input": "yes"}, "apply_b_dec_to_input"),
        ({"metadata": [1]}, "metadata"),
        ({"trust_remote_code": True}, "trust_remote_code"),
    ],
)
def test_a_configuration_that_cannot_be_held_is_refused(changes: dict, words: str, tmp_path: Path) -> None:
    save_sae(make("topk"), tmp_path)
    change_cfg(tmp_path, **changes)
    with pytest.raises(BadSource) as caught:
        load_sae(tmp_path)
    assert words in caught.value.message


def test_sizes_that_disagree_name_both(tmp_path: Path) -> None:
    save_sae(make("relu"), tmp_path)
    change_cfg(tmp_path, d_sae=2**40)
    with pytest.raises(Mismatch) as caught:
        load_sae(tmp_path)
    assert str(2**40) in caught.value.message
    assert "[6, 16]" in caught.value.message


def test_tensors_of_another_kind_are_refused(tmp_path: Path) -> None:
    save_sae(make("relu"), tmp_path)
    weights = load_file(tmp_path / "sae_weights.safetensors")
    save_file(weights | {"W_skip": torch.zeros(6, 6)}, tmp_path / "sae_weights.safetensors")
    with pytest.raises(BadSource, match="W_skip"):
        load_sae(tmp_path)
    save_file(weights | {"b_dec": torch.zeros(6, dtype=torch.int32)}, tmp_path / "sae_weights.safetensors")
    with pytest.raises(BadSource, match="I32"):
        load_sae(tmp_path)
    save_file(weights | {"scaling_factor": torch.ones(16)}, tmp_path / "sae_weights.safetensors")
    assert load_sae(tmp_path).kind == "relu"
    save_file(weights | {"scaling_factor": torch.full((16,), 2.0)}, tmp_path / "sae_weights.safetensors")
    with pytest.raises(BadSource, match="scaling_factor"):
        load_sae(tmp_path)


def test_a_full_disk_is_one_clear_line() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    with pytest.raises((NoSpace, OSError)):
        save_sae(make("relu"), full / "sae")
