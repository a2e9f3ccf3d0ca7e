"""Quicker stand-ins: taken where they answer alike, left where they do not."""

import pytest
import torch
from torch import nn

from saescope.models.faster import FusedGatedMlp, FusedRMSNorm, make_faster
from saescope.models.load import load_model
from saescope.packed import PackedLinear
from support.tiny import FAMILIES, save_tiny_model, tiny_causal_lm

IDS = torch.randint(3, 384, (2, 10), generator=torch.Generator().manual_seed(4))


def kinds(layers: nn.Module) -> set[type]:
    return {type(module) for module in layers.modules()}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_reads_as_before(family, tmp_path):
    folder = save_tiny_model(tmp_path / family, family)
    plain, faster = load_model(folder, faster=False), load_model(folder)
    assert PackedLinear not in kinds(plain.model)
    assert faster.hookpoints == plain.hookpoints
    names = list(plain.hookpoints)
    found, expected = faster.read(IDS, names), plain.read(IDS, names)
    for name in names:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(faster.logits(IDS), plain.logits(IDS), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", ["llama", "qwen3", "gemma2"])
def test_maps_norms_and_gated_mlps_are_replaced(family):
    layers = tiny_causal_lm(family).model.layers
    make_faster(layers, 32)
    assert {PackedLinear, FusedRMSNorm, FusedGatedMlp} <= kinds(layers)
    assert type(layers[0].mlp.down_proj) is nn.Linear, "long sums stay"


class OddRMSNorm(nn.Module):
    """Says it is an RMS norm, and is not quite."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.randn(16), requires_grad=False), 1e-5

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * self.weight * 1.001


class OddMlp(nn.Module):
    """A gated MLP with an activation of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.gate_proj, self.up_proj, self.down_proj = nn.Linear(8, 16), nn.Linear(8, 16), nn.Linear(16, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down_proj(torch.sigmoid(self.gate_proj(x)) * self.up_proj(x))


class Wider(nn.Linear):
    """A linear map that does more than one."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) * 2


def test_what_only_looks_alike_stays():
    norm, mlp, wider = OddRMSNorm(), OddMlp(), Wider(8, 8)
    layers = nn.ModuleList([nn.ModuleDict({"norm": norm, "mlp": mlp, "wider": wider})])
    make_faster(layers, 8)
    layer = layers[0]
    assert all(layer[name] is old for name, old in {"norm": norm, "mlp": mlp, "wider": wider}.items())
    assert type(mlp.gate_proj) is PackedLinear


def test_half_precision_and_other_devices_keep_their_maps():
    linear = nn.Linear(8, 8, dtype=torch.bfloat16)
    layers = nn.ModuleList([nn.Sequential(linear)])
    assert make_faster(layers, 8) == 0
    assert layers[0][0] is linear
