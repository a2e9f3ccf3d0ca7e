"""A golden SAE read, kept in a home, read again and exported: the files are those it came from."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from saescope.errors import BadValue
from saescope.sae import Sae, export_sae, load_sae, read_sae, save_sae
from saescope.sae.torch_file import read_torch, read_torch_heads

GOLDEN = Path(__file__).parents[1] / "golden"
CASES: dict[str, dict[str, Any]] = {case["case"]: case for case in json.loads((GOLDEN / "cases.json").read_text())}
FORMATS = {"sae-lens": "saelens", "dictionary-learning": "dictionary_learning", "eai-sparsify": "sparsify"}
FILES = {
    "saelens": ("sae_weights.safetensors", "cfg.json"),
    "dictionary_learning": ("ae.pt", "config.json"),
    "sparsify": ("sae.safetensors", "cfg.json"),
}

NORMS_FOLDED = {"sae-lens-abstopk", "sae-lens-topk_rescale_true", "dictionary_learning-standard"}
"""Their decoder rows become unit vectors on reading, as in their libraries."""
BECOME_INFERENCE_FORM = {
    "sae-lens-batchtopk_training_checkpoint",
    "sae-lens-matryoshka_batchtopk_training_checkpoint",
    "sae-lens-standard_covariance_whitening_checkpoint",
    "sae-lens-standard_expected_average_checkpoint",
}


def written_back(case: str, tmp_path: Path) -> tuple[Path, Path, str]:
    """The original's folder, the exported one, and the format."""
    original = GOLDEN / case / CASES[case]["path"]
    format = FORMATS[CASES[case]["library"].split()[0]]
    save_sae(read_sae(original), tmp_path / "home")
    export_sae(read_sae(tmp_path / "home"), tmp_path / "out" / original.name, format)
    return original, tmp_path / "out" / original.name, format


def tensors(path: Path) -> dict[str, torch.Tensor]:
    return read_torch(path, list(read_torch_heads(path))) if path.suffix == ".pt" else load_file(path)


WRITABLE = [
    name
    for name, case in CASES.items()
    if case["library"].split()[0] in FORMATS and name not in BECOME_INFERENCE_FORM and "-v5_" not in name
]


@pytest.mark.parametrize("case", WRITABLE)
def test_tensors_are_those_of_the_original(case: str, tmp_path: Path) -> None:
    original, written, format = written_back(case, tmp_path)
    theirs, ours = (tensors(folder / FILES[format][0]) for folder in (original, written))
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        assert (ours[name].dtype, ours[name].shape) == (tensor.dtype, tensor.shape), name
        if case not in NORMS_FOLDED:
            assert torch.equal(ours[name], tensor), name


@pytest.mark.parametrize("case", sorted(NORMS_FOLDED))
def test_of_folded_norms_the_products_stay(case: str, tmp_path: Path) -> None:
    original, written, format = written_back(case, tmp_path)
    theirs, ours = (tensors(folder / FILES[format][0]) for folder in (original, written))
    transposed = "encoder.weight" in theirs
    encoder, decoder = ("encoder.weight", "decoder.weight") if transposed else ("W_enc", "W_dec")
    for each in (theirs, ours):
        for name in (encoder, decoder) if transposed else ():
            each[name] = each[name].T
    norms = theirs[decoder].norm(dim=1)
    torch.testing.assert_close(ours[encoder], theirs[encoder] * norms)
    torch.testing.assert_close(ours[decoder], theirs[decoder] / norms[:, None])
    bias = "encoder.bias" if transposed else "b_enc"
    torch.testing.assert_close(ours[bias], theirs[bias] * norms)


@pytest.mark.parametrize("case", WRITABLE)
def test_the_configuration_is_that_of_the_original(case: str, tmp_path: Path) -> None:
    original, written, format = written_back(case, tmp_path)
    theirs, ours = (json.loads((folder / FILES[format][1]).read_text()) for folder in (original, written))
    metadata, kept = theirs.pop("metadata", {}), ours.pop("metadata", {})
    assert ours == theirs
    assert metadata.items() <= kept.items()


@pytest.mark.parametrize("name", ["covariance_whitening", "expected_average"])
def test_a_checkpoint_is_written_with_its_normalisation_in_the_weights(name: str, tmp_path: Path) -> None:
    case = f"sae-lens-standard_{name}_checkpoint"
    original, written, _ = written_back(case, tmp_path)
    x = load_file(GOLDEN / case / "io.safetensors")["x"]
    assert json.loads((written / "cfg.json").read_text())["normalize_activations"] == "none"
    assert sorted(path.name for path in written.iterdir()) == ["cfg.json", "sae_weights.safetensors"]
    assert torch.equal(load_sae(written).encode(x), load_sae(original).encode(x))


@pytest.mark.parametrize("case", sorted(case for case in BECOME_INFERENCE_FORM if "batchtopk" in case))
def test_a_training_form_becomes_the_jumprelu_that_computes_the_same(case: str, tmp_path: Path) -> None:
    original, written, _ = written_back(case, tmp_path)
    x = load_file(GOLDEN / case / "io.safetensors")["x"]
    assert json.loads((written / "cfg.json").read_text())["architecture"] == "jumprelu"
    assert torch.equal(load_sae(written).encode(x), load_sae(original).encode(x))


def holds(format: str, sae: Sae) -> bool:
    """What docs/formats.md says that a format can hold."""
    if format == "saelens":
        kinds = ("relu", "jumprelu", "batchtopk") if sae.cfg.transcoder else ("relu", "jumprelu", "batchtopk", "topk")
        return sae.kind in kinds or (sae.kind in ("gated", "abstopk") and not sae.cfg.transcoder)
    if sae.cfg.normalise != "none":
        return False
    if format == "sparsify":
        return sae.kind in ("topk", "groupmax") and sae.cfg.width_out == sae.d_in
    return sae.kind in ("relu", "topk", "batchtopk", "jumprelu", "gated") and not sae.cfg.transcoder


@pytest.mark.parametrize("format", FILES)
@pytest.mark.parametrize("case", CASES)
def test_what_a_format_can_hold_comes_back_with_the_same_features(case: str, format: str, tmp_path: Path) -> None:
    sae = read_sae(GOLDEN / case / CASES[case]["path"])
    x = load_file(GOLDEN / case / "io.safetensors")["x"]
    if not holds(format, sae):
        with pytest.raises(BadValue, match=f"{sae.kind}|transcoder|{sae.cfg.normalise}"):
            export_sae(sae, tmp_path / "layers.5", format)
        assert not (tmp_path / "layers.5").exists()
        return
    export_sae(sae, tmp_path / "layers.5", format)
    back = read_sae(tmp_path / "layers.5")
    torch.testing.assert_close(back.encode(x), sae.encode(x), rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(back(x), sae(x), rtol=1e-5, atol=1e-4)
