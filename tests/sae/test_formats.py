"""Formats of which there is no golden file: written here as their libraries lay them out, and checked by formula."""

import json
import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from saescope.errors import BadSource, BadValue, Mismatch
from saescope.sae import load_sae

D_IN, D_SAE = 6, 16
X = torch.randn(40, D_IN, generator=torch.Generator().manual_seed(0)) * 2


def random(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed + sum(shape)))


# ---- Gemma Scope ----


def gemma(folder: Path, d_out: int = D_IN, config: dict[str, Any] | None = None, **more: torch.Tensor) -> Path:
    folder.mkdir(parents=True)
    weights = {
        "w_enc": random(D_IN, D_SAE), "w_dec": random(D_SAE, d_out), "b_enc": random(D_SAE), "b_dec": random(d_out),
        "threshold": random(D_SAE).abs(),
    }  # fmt: skip
    save_file(weights | more, folder / "params.safetensors")
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_gemma_scope_2_is_a_jumprelu_that_subtracts_nothing(tmp_path: Path) -> None:
    config = {
        "hf_hook_point_in": "model.layers.5.output", "architecture": "jump_relu", "model_name": "google/gemma-3-270m"
    }  # fmt: skip
    folder = gemma(tmp_path / "resid_post" / "layer_5_width_16k_l0_small", config=config)
    sae, weights = load_sae(folder), load_file(folder / "params.safetensors")
    pre = X @ weights["w_enc"] + weights["b_enc"]
    f = torch.where(pre > weights["threshold"], pre, 0)
    torch.testing.assert_close(sae.encode(X), f)
    torch.testing.assert_close(sae(X), f @ weights["w_dec"] + weights["b_dec"])
    assert (sae.cfg.hookpoint, sae.cfg.model) == ("layers.5.resid_post", "google/gemma-3-270m")


def test_gemma_scope_2_without_a_configuration_is_told_by_its_folders(tmp_path: Path) -> None:
    assert load_sae(gemma(tmp_path / "mlp_out" / "layer_3_width_16k")).cfg.hookpoint == "layers.3.mlp_out"


def test_gemma_scope_2_transcoders_have_their_skip_the_other_way_round(tmp_path: Path) -> None:
    config = {
        "hf_hook_point_in": "model.layers.7.pre_feedforward_layernorm.output",
        "hf_hook_point_out": "model.layers.7.post_feedforward_layernorm.output",
        "affine_connection": True,
    }
    skip = random(D_IN, 4, seed=9)
    folder = gemma(tmp_path / "transcoder" / "layer_7", 4, config, affine_skip_connection=skip)
    sae = load_sae(folder)
    assert (sae.cfg.hookpoint, sae.cfg.hookpoint_out) == ("layers.7.mlp_in", "layers.7.mlp_out")
    torch.testing.assert_close(sae(X) - sae.decode(sae.encode(X)), X @ skip)


def test_a_dictionary_across_layers_is_refused_by_name(tmp_path: Path) -> None:
    folder = gemma(tmp_path / "clt" / "layer_1", w_dec=random(D_SAE, 3, D_IN))
    with pytest.raises(BadSource, match="several layers"):
        load_sae(folder)


@pytest.mark.parametrize(
    ("repository", "hookpoint", "leaving"),
    [
        ("gemma-scope-2b-pt-res", "layers.9.resid_post", ""),
        ("gemma-scope-2b-pt-mlp", "layers.9.mlp_out", ""),
        ("models--google--gemma-scope-9b-it-res/snapshots/abc", "layers.9.resid_post", ""),
        ("gemma-scope-2b-pt-transcoders", "layers.9.mlp_in", "layers.9.mlp_out"),
    ],
)
@pytest.mark.parametrize("compressed", [False, True])
def test_gemma_scope_hookpoints_stand_in_folders(
    repository: str, hookpoint: str, leaving: str, compressed: bool, tmp_path: Path
) -> None:
    folder = tmp_path / repository / "layer_9" / "width_16k" / "average_l0_12"
    folder.mkdir(parents=True)
    arrays = {
        "W_enc": random(D_IN, D_SAE).numpy(), "W_dec": np.asfortranarray(random(D_SAE, D_IN).numpy()),
        "b_enc": random(D_SAE).numpy(), "b_dec": random(D_IN).numpy(), "threshold": random(D_SAE).abs().numpy(),
    }  # fmt: skip
    (np.savez_compressed if compressed else np.savez)(folder / "params.npz", **arrays)
    sae = load_sae(folder)
    assert (sae.cfg.hookpoint, sae.cfg.hookpoint_out) == (hookpoint, leaving)
    assert torch.equal(sae.W_dec, torch.from_numpy(arrays["W_dec"]))
    assert sae.cfg.model.startswith("google/gemma-2-")


# ---- Llama Scope ----


@pytest.mark.parametrize("act_fn", ["jumprelu", "topk"])
def test_llama_scope_scales_its_input_and_lets_decoder_norms_decide(act_fn: str, tmp_path: Path) -> None:
    weights = {
        "encoder.weight": random(D_SAE, D_IN), "encoder.bias": random(D_SAE),
        "decoder.weight": random(D_IN, D_SAE), "decoder.bias": random(D_IN),
    }  # fmt: skip
    config = {
        "d_model": D_IN, "d_sae": D_SAE, "act_fn": act_fn, "top_k": 3, "jump_relu_threshold": 0.5,
        "norm_activation": "dataset-wise", "dataset_average_activation_norm": {"in": 5.0, "out": 5.0},
        "sparsity_include_decoder_norm": True, "use_decoder_bias": True,
        "hook_point_in": "blocks.15.hook_resid_post", "hook_point_out": "blocks.15.hook_resid_post",
    }  # fmt: skip
    (tmp_path / "checkpoints").mkdir()
    save_file(weights, tmp_path / "checkpoints" / "final.safetensors")
    (tmp_path / "hyperparams.json").write_text(json.dumps(config))
    sae, s = load_sae(tmp_path), math.sqrt(D_IN) / 5.0
    h = (X * s) @ weights["encoder.weight"].T + weights["encoder.bias"]
    ranked = h * weights["decoder.weight"].norm(dim=0)
    if act_fn == "topk":
        edge = ranked.sort(dim=1, descending=True).values[:, 2:3]
        f = torch.where(ranked >= edge, h.relu(), 0)
    else:
        f = torch.where(ranked > 0.5, h, 0)
    torch.testing.assert_close(sae.encode(X), f)
    torch.testing.assert_close(sae(X), (f @ weights["decoder.weight"].T + weights["decoder.bias"]) / s)
    assert sae.cfg.hookpoint == "layers.15.resid_post"


@pytest.mark.parametrize("changes", [{"use_glu_encoder": True}, {"act_fn": "batchtopk"}, {"sae_type": "crosscoder"}])
def test_what_openmoss_has_besides_is_refused_by_name(changes: dict[str, Any], tmp_path: Path) -> None:
    config = {"sae_type": "sae", "d_model": D_IN, "expansion_factor": 2, "act_fn": "relu", **changes}
    save_file({"W_E": random(D_IN, 12)}, tmp_path / "sae_weights.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(BadSource, match=f"{next(iter(changes))}|{next(iter(changes.values()))}"):
        load_sae(tmp_path)


# ---- Goodfire ----


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_goodfire_is_two_linear_layers_around_a_relu(dtype: torch.dtype, tmp_path: Path) -> None:
    state = {
        "encoder_linear.weight": random(D_SAE, D_IN), "encoder_linear.bias": random(D_SAE),
        "decoder_linear.weight": random(D_IN, D_SAE), "decoder_linear.bias": random(D_IN),
    }  # fmt: skip
    state = {name: tensor.to(dtype) for name, tensor in state.items()}
    path = tmp_path / "Llama-3.1-8B-Instruct-SAE-l19.pth"
    torch.save(state, path)
    sae = load_sae(path)
    f = (X @ state["encoder_linear.weight"].float().T + state["encoder_linear.bias"].float()).relu()
    torch.testing.assert_close(sae.encode(X), f)
    assert (sae.cfg.hookpoint, sae.cfg.model) == ("layers.19.resid_post", "Llama-3.1-8B-Instruct")
    assert sae.cfg.dtype == str(dtype).removeprefix("torch.")


def test_a_pt_that_nothing_explains_is_refused(tmp_path: Path) -> None:
    torch.save({"weight": random(3, 4)}, tmp_path / "layer.pt")
    with pytest.raises(BadSource, match="nothing says of what"):
        load_sae(tmp_path / "layer.pt")


# ---- plain tensors with a mapping ----

MAPPING = {
    "kind": "topk",
    "k": 3,
    "tensors": {"W_enc": "enc.weight.T", "b_enc": "enc.bias", "W_dec": "dec"},
    "scale": 0.5,
    "hookpoint": "layers.1.resid_post",
}


def plain(path: Path) -> dict[str, torch.Tensor]:
    weights = {"enc.weight": random(D_SAE, D_IN), "enc.bias": random(D_SAE), "dec": random(D_SAE, D_IN), "other": X}
    save_file(weights, path)
    return weights


def test_plain_tensors_are_read_by_a_mapping(tmp_path: Path) -> None:
    weights = plain(tmp_path / "w.safetensors")
    (tmp_path / "map.json").write_text(json.dumps(MAPPING))
    for mapping in (MAPPING, tmp_path / "map.json"):
        sae = load_sae(tmp_path / "w.safetensors", mapping=mapping)
        pre = (X * 0.5) @ weights["enc.weight"].T + weights["enc.bias"]
        edge = pre.sort(dim=1, descending=True).values[:, 2:3]
        f = torch.where(pre >= edge, pre.relu(), 0)
        torch.testing.assert_close(sae.encode(X), f)
        torch.testing.assert_close(sae(X), f @ weights["dec"] / 0.5)
        assert not bool(sae.b_dec.any())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kind": "magic"}, "magic"),
        ({"colour": 1}, "colour"),
        ({"k": 99}, "k is 99"),
        ({"tensors": {"W_enc": "enc.weight.T"}}, "which tensor is W_dec"),
        ({"tensors": {**MAPPING["tensors"], "threshold": "enc.bias"}}, "topk has not"),  # type: ignore[dict-item]
        ({"tensors": {**MAPPING["tensors"], "b_dec": "enc.bias"}}, r"\[6\]"),  # type: ignore[dict-item]
        ({"tensors": {**MAPPING["tensors"], "W_enc": "enc.weight"}}, "should be"),  # type: ignore[dict-item]
    ],
)
def test_a_mapping_that_does_not_fit_is_refused(changes: dict[str, Any], words: str, tmp_path: Path) -> None:
    plain(tmp_path / "w.safetensors")
    with pytest.raises((BadSource, Mismatch), match=words):
        load_sae(tmp_path / "w.safetensors", mapping=MAPPING | changes)


def test_plain_tensors_without_a_mapping_are_refused_with_a_way_out(tmp_path: Path) -> None:
    plain(tmp_path / "w.safetensors")
    with pytest.raises(BadSource, match="which is which") as caught:
        load_sae(tmp_path / "w.safetensors")
    assert "--mapping" in caught.value.hint


# ---- asking for a format ----


def test_a_format_that_is_asked_for_must_be_the_one_that_is_there(tmp_path: Path) -> None:
    folder = gemma(tmp_path / "layer_1")
    assert load_sae(folder, format="gemma_scope_2").kind == "jumprelu"
    with pytest.raises(BadSource, match="looks like gemma_scope_2, not like saelens"):
        load_sae(folder, format="saelens")
    with pytest.raises(BadValue, match="unknown format"):
        load_sae(folder, format="pickle")


# ---- .pt and .npz by themselves ----


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("run",))


@pytest.mark.parametrize(
    ("built", "words"),
    [
        ({"a": Evil()}, r"__builtin__\.print"),
        ({"a": [random(2)]}, "more than named tensors"),
        ([random(2)], "no dictionary"),
        ({"a": "text"}, "more than named tensors"),
        (random(2), "no dictionary"),
        ({"a": random(3).to_sparse()}, "sparse"),
    ],
)
def test_a_pt_that_holds_more_than_tensors_is_refused(
    built: Any, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(built, tmp_path / "ae.pt")
    with pytest.raises(BadSource, match=words):
        load_sae(tmp_path / "ae.pt")
    assert "run" not in capsys.readouterr().out


def test_views_strides_and_shared_numbers_are_honoured(tmp_path: Path) -> None:
    from saescope.sae.torch_file import read_torch, read_torch_heads

    whole = random(5, 7)
    state = {"t": whole.T, "row": whole[2], "part": whole[1:3, ::2], "one": torch.tensor(3), "none": torch.zeros(0, 4)}
    torch.save(state, tmp_path / "w.pt")
    heads = read_torch_heads(tmp_path / "w.pt")
    assert {name: head.shape for name, head in heads.items()} == {name: tuple(t.shape) for name, t in state.items()}
    for name, tensor in read_torch(tmp_path / "w.pt", list(state)).items():
        assert torch.equal(tensor, state[name])


def test_a_parameter_in_an_ordered_dictionary_is_a_tensor(tmp_path: Path) -> None:
    from saescope.sae.torch_file import read_torch

    linear = torch.nn.Linear(3, 2)
    torch.save(linear.state_dict(), tmp_path / "a.pt")
    torch.save(dict(linear.named_parameters()), tmp_path / "b.pt")
    for name in ("a.pt", "b.pt"):
        assert torch.equal(read_torch(tmp_path / name, ["weight"])["weight"], linear.weight)


def test_a_torch_file_from_before_1_6_is_named_as_one(tmp_path: Path) -> None:
    torch.save({"a": random(2)}, tmp_path / "ae.pt", _use_new_zipfile_serialization=False)
    with pytest.raises(BadSource, match=r"before 1\.6|bare pickle"):
        load_sae(tmp_path / "ae.pt")


def test_a_tensor_larger_than_its_numbers_is_refused_and_nothing_is_allocated(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1).expand(2**20, 2**20)}, tmp_path / "ae.pt")
    with pytest.raises(BadSource, match="does not fit its 1 numbers"):
        load_sae(tmp_path / "ae.pt")


def test_damaged_numbers_are_found_by_their_checksum(tmp_path: Path) -> None:
    folder = tmp_path / "layer_1"
    folder.mkdir()
    arrays = {"W_enc": np.ones((4, 8), "f4"), "W_dec": np.ones((8, 4), "f4")}
    np.savez(
        folder / "params.npz", **arrays, b_enc=np.ones(8, "f4"), b_dec=np.ones(4, "f4"), threshold=np.ones(8, "f4")
    )
    data = bytearray((folder / "params.npz").read_bytes())
    at = data.index(np.ones(8, "f4").tobytes())
    data[at] ^= 1
    (folder / "params.npz").write_bytes(data)
    with pytest.raises(BadSource, match="checksum"):
        load_sae(folder)


def test_an_archive_that_would_unpack_to_far_more_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "layer_1"
    folder.mkdir()
    with zipfile.ZipFile(folder / "params.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        head = "{'descr': '<f4', 'fortran_order': False, 'shape': (4096, 4096), }".ljust(117) + "\n"
        archive.writestr("W_enc.npy", b"\x93NUMPY\x01\x00\x76\x00" + head.encode() + bytes(4 * 4096 * 4096))
    with pytest.raises(BadSource, match="which no weights do"):
        load_sae(folder)
