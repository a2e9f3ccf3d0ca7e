"""Quantized weights are really small, and what they compute is close."""

from pathlib import Path

import pytest
import torch
from torch import nn

from saescope.errors import BadValue
from saescope.models.language_model import LanguageModel
from saescope.models.load import load_model
from saescope.models.quantize import Int4Linear, Int8Linear, quantize_layers
from support.tiny import save_tiny_model, tiny_model

IDS = torch.randint(3, 384, (2, 10), generator=torch.Generator().manual_seed(3))


def bytes_of(module):
    tensors = (*module.parameters(), *module.buffers())
    return sum(t.untyped_storage().nbytes() for t in tensors)


@pytest.mark.parametrize(("kind", "worst"), [(Int8Linear, 0.02), (Int4Linear, 0.25)])
@pytest.mark.parametrize("d_in", [128, 48, 33])
@pytest.mark.parametrize("bias", [True, False])
def test_a_quantized_map_is_close_to_the_map(kind, worst, d_in, bias):
    torch.manual_seed(0)
    linear = nn.Linear(d_in, 40, bias=bias)
    quantized = kind(linear.weight.detach(), linear.bias.detach() if bias else None)
    x = torch.randn(2, 3, d_in)
    exact = linear(x)
    assert (quantized(x) - exact).abs().max() < worst * exact.abs().max()


def test_int8_weights_are_within_half_a_step_of_the_weights():
    weight = torch.randn(8, 16)
    quantized = Int8Linear(weight, None)
    back = quantized.weight.float() * quantized.scale[:, None]
    assert ((back - weight).abs() <= quantized.scale[:, None] / 2 + 1e-6).all()
    assert quantized.weight.dtype is torch.int8


def test_half_precision_sums_do_not_overflow():
    weight = torch.full((4, 512), 1e-3)
    quantized = Int8Linear(weight.half(), None)
    y = quantized(torch.full((1, 512), 60.0).half())
    torch.testing.assert_close(y.float(), torch.full((1, 4), 60 * 512 * 1e-3), rtol=1e-2, atol=0)


def test_rows_of_zeros_stay_zero():
    for kind in (Int8Linear, Int4Linear):
        assert kind(torch.zeros(3, 8), None)(torch.ones(1, 8)).abs().max() == 0


@pytest.mark.parametrize(
    ("family", "maps"), [("llama", 7), ("gpt2", 4), ("opt", 6), ("gpt_neox", 4), ("gemma3", 7), ("phi3", 4)]
)
def test_every_linear_map_of_every_layer_is_replaced_and_memory_shrinks(family, maps):
    model = tiny_model(family)
    layers = model._structure.layers
    exact, before = model.logits(IDS), bytes_of(layers)
    assert quantize_layers(layers, "int8") == maps * model.layers
    assert bytes_of(layers) < before * 0.36  # a quarter, and the scales, biases and norms that stay
    assert (model.logits(IDS) - exact).abs().mean() < 0.1 * exact.abs().mean()
    again = LanguageModel(model.model, model.tokenizer)  # OPT's mlp_out is read at a map that was replaced
    assert again.hookpoints == model.hookpoints
    assert again.read(IDS, ["layers.1.mlp_out"])["layers.1.mlp_out"].shape == (2, 10, 32)


def test_int4_weights_take_an_eighth():
    linear = nn.Linear(256, 64, bias=False)
    assert bytes_of(Int4Linear(linear.weight.detach(), None)) < bytes_of(linear) / 7


def test_a_model_loaded_in_int8_has_its_own_fingerprint_and_can_be_read(tmp_path):
    save_tiny_model(tmp_path)
    plain, small = load_model(tmp_path), load_model(tmp_path, quantize="int8")
    assert plain.fingerprint != small.fingerprint
    assert small.quantize == "int8"
    a, b = (m.read(IDS, ["layers.2.resid_post"])["layers.2.resid_post"] for m in (plain, small))
    assert 0 < (a - b).abs().max() < 0.1 * a.abs().max()


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs Linux")
def test_a_model_loaded_in_int8_lets_go_of_the_float_weights_on_the_disk(tmp_path):
    model = load_model(save_tiny_model(tmp_path), quantize="int8")
    assert str(tmp_path) not in Path("/proc/self/maps").read_text()
    assert model.model.get_output_embeddings().weight.dtype is torch.float32


def test_int4_on_a_cpu_says_that_it_needs_cuda(tmp_path):
    with pytest.raises(BadValue, match="int4 needs a CUDA device") as error:
        load_model(save_tiny_model(tmp_path), quantize="int4", device="cpu")
    assert "int8" in error.value.hint


def test_unknown_quantization_is_refused(tmp_path):
    with pytest.raises(BadValue, match="int2"):
        load_model(tmp_path, quantize="int2")


def test_layers_without_a_linear_map_cannot_be_quantized():
    with pytest.raises(BadValue, match="no linear map"):
        quantize_layers(nn.ModuleList([nn.LayerNorm(4)]), "int8")
