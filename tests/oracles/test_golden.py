"""Our numbers against those that other libraries computed from the same files, and files that must be refused."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from saescope.errors import BadSource, Mismatch, WrongRequest
from saescope.sae import Sae, load_sae

GOLDEN = Path(__file__).parents[1] / "golden"
HOSTILE = GOLDEN / "hostile"
CASES: dict[str, dict[str, Any]] = {case["case"]: case for case in json.loads((GOLDEN / "cases.json").read_text())}

KINDS = {
    "dictionary_learning-batch_topk_threshold_unset": "batchtopk",
    "llamascopium-topk": "normtopk",
    "sparsify-groupmax": "groupmax",
    "sae-lens-abstopk": "abstopk",
    "sae-lens-gated": "gated",
    "dictionary_learning-gated": "gated",
    "sae-lens-batchtopk": "batchtopk",
    "sae-lens-matryoshka_batchtopk": "batchtopk",
    "sae-lens-v5_standard_topk": "topk",
    "sparsify-transcoder_skip": "topk",
}


def load(case: str, **options: Any) -> tuple[Sae, dict[str, torch.Tensor]]:
    folder = GOLDEN / case
    return load_sae(folder / CASES[case]["path"], **options), load_file(folder / "io.safetensors")


def assert_rows_agree(ours: torch.Tensor, theirs: torch.Tensor, tolerance: float = 1e-5) -> None:
    allowed = tolerance * theirs.abs().amax(1).clamp(min=1)
    apart = (ours.float() - theirs).abs().amax(1)
    assert bool((apart <= allowed).all()), f"row {int((apart / allowed).argmax())} is off by {float(apart.max()):g}"


def test_there_are_cases_of_every_library() -> None:
    assert len(CASES) == 51
    assert {case["library"].split()[0] for case in CASES.values()} == {
        "dictionary-learning", "eai-sparsify", "gemma-scope", "llamascopium", "sae-lens"
    }  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_features_and_reconstruction_are_those_of_the_library(case: str) -> None:
    sae, io = load(case)
    suffix = "_as_float32" if "features_as_float32" in io else ""
    features, facts = sae.encode(io["x"]), CASES[case]
    assert (sae.d_in, sae.d_sae, sae.cfg.width_out, sae.k) == (24, 96, facts["d_out"], facts["k"])
    assert sae.kind == KINDS.get(case, sae.kind)
    assert_rows_agree(features, io[f"features{suffix}"])
    assert_rows_agree(sae(io["x"]), io[f"reconstruction{suffix}"])
    if facts["same_active_set"]:
        assert torch.equal(features != 0, io["features"] != 0)


@pytest.mark.parametrize("case", CASES)
def test_sparse_columns_hold_the_same_features(case: str) -> None:
    sae, io = load(case)
    dense, active = sae.encode(io["x"]), sae.active(io["x"])
    rebuilt = torch.zeros_like(dense)
    rebuilt[active.rows, active.features] = active.values
    assert_rows_agree(rebuilt, dense)
    assert not bool((active.values == 0).any())
    values, indices = sae.encode_sparse(io["x"])
    assert_rows_agree(torch.zeros_like(dense).scatter_add_(1, indices, values), dense)


@pytest.mark.parametrize("case", [name for name, case in CASES.items() if case["tolerance"] > 1e-5])
def test_half_precision_is_computed_in_when_asked(case: str) -> None:
    dtype = torch.float16 if "float16" in case.split("_") else torch.bfloat16
    sae, io = load(case, dtype=dtype)
    assert sae.encode(io["x"]).dtype == dtype
    assert_rows_agree(sae.encode(io["x"]), io["features"], 2e-2)
    assert_rows_agree(sae(io["x"]), io["reconstruction"], 2e-2)


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("dictionary_learning-batch_topk_threshold_unset", "threshold was never set"),
        ("sae-lens-standard_expected_average_no_scaler", "the factor is not in its files"),
        ("sparsify-topk_multi_topk", "multi_topk"),
    ],
)
def test_what_a_file_leaves_open_is_noted_and_logged(case: str, words: str, caplog: pytest.LogCaptureFixture) -> None:
    sae, _ = load(case)
    assert words in sae.cfg.notes[0]
    assert words in caplog.text


def test_a_factor_that_is_in_no_file_can_be_given() -> None:
    """The checkpoint holds both the weights of the scaled space and, beside them, the factor."""
    case = "sae-lens-standard_expected_average_checkpoint"
    folded, io = load(case)
    scale = json.loads((GOLDEN / case / "384" / "activation_scaler.json").read_text())["scaling_factor"]
    with_factor = load_sae(GOLDEN / "sae-lens-standard_expected_average_no_scaler", scale=scale)
    assert with_factor.cfg.notes == ()
    plain = load_sae(GOLDEN / "sae-lens-standard_expected_average_no_scaler")
    assert_rows_agree(with_factor.encode(io["x"]), plain.encode(io["x"] * scale))
    assert_rows_agree(with_factor(io["x"]), plain(io["x"] * scale) / scale)
    assert folded.cfg.notes == ()


# ---- hostile ----

REFUSALS = {
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
    "empty.safetensors": "empty",
    "header_is_a_json_list.safetensors": "not a JSON object",
    "header_length_4_GiB.safetensors": "4294967296",
    "header_length_absurd.safetensors": "header",
    "header_not_json.safetensors": "not JSON",
    "offsets_overlap.safetensors": "overlap",
    "offsets_past_the_end.safetensors": "b_dec",
    "shape_product_overflows.safetensors": "W_enc",
    "truncated_in_header.safetensors": "328",
    "truncated_in_header_length.safetensors": "5 bytes",
    "truncated_in_last_tensor.safetensors": "cut short",
    "unknown_dtype.safetensors": "F12",
    "pickle_canary_zip/trainer_0/ae.pt": "posix.system",
    "pickle_canary_raw.pt": "posix.system",
    "pt_is_text.pt": "Git LFS pointer",
    "npz_object_array_canary/layer_5/width_16/average_l0_5/params.npz": "array of objects",
    "npz_header_shape_2e40/layer_5/width_16/average_l0_5/params.npz": "1099511627776",
    "json_is_a_number.json": "not an object",
}


def test_every_hostile_file_has_its_refusal_here() -> None:
    expected = json.loads((HOSTILE / "expected.json").read_text())
    assert {name for name, wanted in expected.items() if not wanted.startswith("ACCEPT")} == set(REFUSALS)


def test_the_sound_folder_beside_the_hostile_ones_loads() -> None:
    assert load_sae(HOSTILE / "control_valid").kind == "jumprelu"


def assert_refused(path: Path, words: str) -> None:
    with pytest.raises((BadSource, Mismatch)) as caught:
        load_sae(path)
    assert words in caught.value.message
    assert caught.value.hint
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", REFUSALS)
def test_a_hostile_file_is_refused_in_one_line_and_runs_nothing(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert_refused(HOSTILE / name, REFUSALS[name])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", [name for name in REFUSALS if name.endswith(".safetensors")])
def test_a_damaged_weight_file_beside_its_configuration_is_refused_too(name: str, tmp_path: Path) -> None:
    shutil.copy(HOSTILE / "control_valid" / "cfg.json", tmp_path / "cfg.json")
    shutil.copy(HOSTILE / name, tmp_path / "sae_weights.safetensors")
    assert_refused(tmp_path, REFUSALS[name])


@pytest.mark.parametrize("root", ["pickle_canary_zip", "npz_object_array_canary", "npz_header_shape_2e40"])
def test_a_hostile_file_is_found_and_refused_from_above(root: str) -> None:
    assert_refused(HOSTILE / root, next(words for name, words in REFUSALS.items() if name.startswith(root)))


def test_an_old_key_about_trust_in_a_dataset_is_harmless() -> None:
    cfg = json.loads((GOLDEN / "sae-lens-v5_standard" / "cfg.json").read_text())
    assert cfg["dataset_trust_remote_code"] is True


FILES = {
    "sae-lens-jumprelu": "sae_weights.safetensors",
    "dictionary_learning-topk": "trainer_0/ae.pt",
    "gemma-scope-jumprelu": "layer_5/width_96/average_l0_12/params.npz",
}


@pytest.mark.parametrize("case", FILES)
def test_a_file_cut_anywhere_is_refused(case: str, tmp_path: Path) -> None:
    shutil.copytree(GOLDEN / case, tmp_path / "sae")
    weights = tmp_path / "sae" / FILES[case]
    whole = weights.read_bytes()
    for length in range(0, len(whole), 211):
        weights.write_bytes(whole[:length])
        with pytest.raises(WrongRequest):
            load_sae(weights)


def test_a_git_lfs_pointer_is_named_as_one(tmp_path: Path) -> None:
    shutil.copy(HOSTILE / "control_valid" / "cfg.json", tmp_path / "cfg.json")
    (tmp_path / "sae_weights.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    assert_refused(tmp_path, "Git LFS")


def test_a_place_that_is_no_sae_is_refused(tmp_path: Path) -> None:
    assert_refused(tmp_path / "nowhere", "there is no")
    assert_refused(tmp_path, "no cfg.json")
    (tmp_path / "notes.txt").write_text("hello")
    assert_refused(tmp_path / "notes.txt", "not in a known format")
    assert_refused(GOLDEN, "SAEs: ")
