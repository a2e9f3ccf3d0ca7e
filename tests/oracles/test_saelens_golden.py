"""Our numbers against those SAELens computed from the same files, and its file layout."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from saescope.errors import BadSource, Mismatch, WrongRequest
from saescope.sae import load_sae, save_sae

GOLDEN = Path(__file__).parents[1] / "golden"
KINDS = {
    "standard": "relu",
    "standard_no_b_dec_input": "relu",
    "standard_layer_norm": "relu",
    "standard_layer_norm_no_b_dec_input": "relu",
    "standard_constant_norm_rescale": "relu",
    "standard_hook_z": "relu",
    "standard_float16": "relu",
    "standard_bfloat16": "relu",
    "v5_standard": "relu",
    "jumprelu": "jumprelu",
    "v5_jumprelu_no_b_dec_input": "jumprelu",
    "batchtopk": "batchtopk",
    "batchtopk_training_checkpoint": "batchtopk",
    "topk_from_training": "topk",
    "topk_rescale_true": "topk",
    "topk_rescale_false": "topk",
    "v5_standard_topk": "topk",
}


def assert_rows_agree(ours: torch.Tensor, theirs: torch.Tensor, tolerance: float = 1e-5) -> None:
    allowed = tolerance * theirs.abs().amax(1).clamp(min=1)
    apart = (ours.float() - theirs).abs().amax(1)
    assert bool((apart <= allowed).all()), f"row {int((apart / allowed).argmax())} is off by {float(apart.max()):g}"


@pytest.mark.parametrize("case", KINDS)
def test_features_and_reconstruction_are_those_of_saelens(case: str) -> None:
    sae = load_sae(GOLDEN / f"sae-lens-{case}")
    io = load_file(GOLDEN / f"sae-lens-{case}" / "io.safetensors")
    suffix = "_as_float32" if "features_as_float32" in io else ""
    features = sae.encode(io["x"])
    assert sae.kind == KINDS[case]
    assert_rows_agree(features, io[f"features{suffix}"])
    assert_rows_agree(sae(io["x"]), io[f"reconstruction{suffix}"])
    if sae.kind != "relu":
        assert torch.equal(features > 0, io["features"] > 0)


@pytest.mark.parametrize("case", KINDS)
def test_sparse_columns_hold_the_same_features(case: str) -> None:
    sae = load_sae(GOLDEN / f"sae-lens-{case}")
    x = load_file(GOLDEN / f"sae-lens-{case}" / "io.safetensors")["x"]
    dense = sae.encode(x)
    active = sae.active(x)
    rebuilt = torch.zeros_like(dense)
    rebuilt[active.rows, active.features] = active.values
    assert_rows_agree(rebuilt, dense)
    values, indices = sae.encode_sparse(x)
    assert_rows_agree(torch.zeros_like(dense).scatter_add_(1, indices, values), dense)


@pytest.mark.parametrize("case", ["standard_float16", "standard_bfloat16"])
def test_half_precision_is_computed_in_when_asked(case: str) -> None:
    dtype = getattr(torch, case.removeprefix("standard_"))
    sae = load_sae(GOLDEN / f"sae-lens-{case}", dtype=dtype)
    io = load_file(GOLDEN / f"sae-lens-{case}" / "io.safetensors")
    assert sae.encode(io["x"]).dtype == dtype
    assert_rows_agree(sae.encode(io["x"]), io["features"], 2e-2)
    assert_rows_agree(sae(io["x"]), io["reconstruction"], 2e-2)


@pytest.mark.parametrize("case", ["standard", "jumprelu", "batchtopk", "topk_from_training", "topk_rescale_false"])
def test_written_files_are_those_of_saelens(case: str, tmp_path: Path) -> None:
    original = GOLDEN / f"sae-lens-{case}"
    save_sae(load_sae(original), tmp_path / "sae")
    theirs, ours = (load_file(folder / "sae_weights.safetensors") for folder in (original, tmp_path / "sae"))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    cfg, written = (json.loads((folder / "cfg.json").read_text()) for folder in (original, tmp_path / "sae"))
    assert {key: written[key] for key in cfg if key != "metadata"} == {
        key: cfg[key] for key in cfg if key != "metadata"
    }
    assert cfg["metadata"].items() <= written["metadata"].items()


@pytest.mark.parametrize("case", ["gated", "transcoder", "standard_expected_average_no_scaler"])
def test_what_cannot_be_held_is_refused_by_name(case: str) -> None:
    with pytest.raises(BadSource) as caught:
        load_sae(GOLDEN / f"sae-lens-{case}")
    assert case.removeprefix("standard_").removesuffix("_no_scaler") in str(caught.value)


HOSTILE_FOLDERS = {
    "cfg_auto_map": "auto_map",
    "cfg_d_in_negative": "d_in must be a positive whole number",
    "cfg_d_sae_2e40": "1099511627776",
    "cfg_d_sae_disagrees": "d_sae 32",
    "cfg_empty": "empty",
    "cfg_is_a_json_list": "not an object",
    "cfg_k_over_d_sae": "k is 17",
    "cfg_missing_architecture": "architecture",
    "cfg_truncated": "not whole JSON",
    "cfg_unknown_architecture": "quantum_sae",
    "infinity_in_b_enc": "b_enc",
    "missing_tensor_threshold": "threshold",
    "nan_in_W_dec": "[3, 2]",
    "threshold_wrong_length": "[15]",
    "transposed_W_dec": "[8, 16]",
    "wrong_shape_W_enc": "[8, 17]",
}
HOSTILE_FILES = {
    "empty": "empty",
    "header_is_a_json_list": "not a JSON object",
    "header_length_4_GiB": "4294967296",
    "header_length_absurd": "header",
    "header_not_json": "not JSON",
    "offsets_overlap": "overlap",
    "offsets_past_the_end": "b_dec",
    "shape_product_overflows": "W_enc",
    "truncated_in_header": "328",
    "truncated_in_header_length": "5 bytes",
    "truncated_in_last_tensor": "cut short",
    "unknown_dtype": "F12",
}


def assert_refused(folder: Path, words: str) -> None:
    with pytest.raises((BadSource, Mismatch)) as caught:
        load_sae(folder)
    assert words in caught.value.message
    assert caught.value.hint
    assert "\n" not in str(caught.value)


def test_the_sound_folder_beside_the_hostile_ones_loads() -> None:
    assert load_sae(GOLDEN / "hostile" / "control_valid").kind == "jumprelu"


@pytest.mark.parametrize("name", HOSTILE_FOLDERS)
def test_a_damaged_folder_is_refused_in_one_line(name: str) -> None:
    assert_refused(GOLDEN / "hostile" / name, HOSTILE_FOLDERS[name])
    assert not Path("CANARY").exists()


@pytest.mark.parametrize("name", HOSTILE_FILES)
def test_a_damaged_weight_file_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    shutil.copy(GOLDEN / "hostile" / "control_valid" / "cfg.json", tmp_path / "cfg.json")
    shutil.copy(GOLDEN / "hostile" / f"{name}.safetensors", tmp_path / "sae_weights.safetensors")
    assert_refused(tmp_path, HOSTILE_FILES[name])


def test_a_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    source = GOLDEN / "hostile" / "control_valid"
    whole = (source / "sae_weights.safetensors").read_bytes()
    shutil.copy(source / "cfg.json", tmp_path / "cfg.json")
    for length in range(0, len(whole), 37):
        (tmp_path / "sae_weights.safetensors").write_bytes(whole[:length])
        with pytest.raises(WrongRequest):
            load_sae(tmp_path)


def test_a_git_lfs_pointer_is_named_as_one(tmp_path: Path) -> None:
    shutil.copy(GOLDEN / "hostile" / "control_valid" / "cfg.json", tmp_path / "cfg.json")
    (tmp_path / "sae_weights.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    assert_refused(tmp_path, "Git LFS")


def test_a_place_that_is_no_sae_is_refused(tmp_path: Path) -> None:
    assert_refused(tmp_path / "nowhere", "there is no")
    assert_refused(tmp_path, "there is no cfg.json")
    (tmp_path / "notes.txt").write_text("hello")
    assert_refused(tmp_path / "notes.txt", "not in a known format")
