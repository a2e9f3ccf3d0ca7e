"""The same layers, quicker on a CPU.

Linear maps are packed for oneDNN, RMS norms are done in one pass, and a gated MLP's activation and product ride in the
products before them. Every stand-in is tried beside the module it replaces, on rows of many sizes, and taken only
where the two agree: a family that does something else keeps its own modules.

oneDNN adds up a product's terms one after the other, plain torch in parts, so that long sums round twice as much. What
an MLP writes is such a sum, and the few very large numbers of the residual stream are made there: maps that take in
more than the stream's width therefore stay as they are. Activations of SmolLM2-135M at layer 10 are then as close to
float64 arithmetic as transformers' own; with those maps packed too, twenty times as many differ by more than 1e-4.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..packed import PackedLinear, can_pack

_ROWS = 4096
"""Rows that most passes have."""
_ACTIVATIONS = (("swish", ""), ("gelu", "none"), ("gelu", "tanh"))
_AGREEMENT = 2e-5
"""Largest difference of a stand-in, in ratio to the largest number of the same row."""


class FusedRMSNorm(nn.Module):
    """x / sqrt(mean(x^2) + eps) * weight, in one pass. Zhang and Sennrich 2019, eq. 4."""

    def __init__(self, weight: Tensor, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.eps = eps

    def forward(self, hidden_states: Tensor) -> Tensor:
        return functional.rms_norm(hidden_states, self.weight.shape, self.weight, self.eps)


class FusedGatedMlp(nn.Module):
    """down(activation(gate(x)) * up(x)) in three products and nothing else. Shazeer 2020, eq. 6."""

    def __init__(self, gate: PackedLinear, up: PackedLinear, down: nn.Module, activation: tuple[str, str]) -> None:
        super().__init__()
        self.gate_proj, self.up_proj, self.down_proj = gate, up, down
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(self.up_proj(x, times=self.gate_proj(x, then=self.activation)))


@torch.inference_mode()
def make_faster(layers: nn.ModuleList, d_model: int) -> int:
    """Put quicker stand-ins in a model's layers, in place; how many modules were replaced."""
    return sum(_replace(layers, stand_ins) for stand_ins in (partial(_linear, d_model), _norm, _mlp))


def _replace(layers: nn.ModuleList, stand_ins: Callable[[nn.Module], Iterator[nn.Module]]) -> int:
    """Replace every module inside the layers by the first of its stand-ins that agrees with it."""
    replaced = 0
    for parent in list(layers.modules()):
        for name, child in list(parent.named_children()):
            chosen = next((new for new in stand_ins(child) if _agrees(new, child)), None)
            if chosen is not None:
                setattr(parent, name, chosen.eval())
                replaced += 1
    return replaced


def _linear(d_model: int, module: nn.Module) -> Iterator[nn.Module]:
    if type(module) is nn.Linear and can_pack(module.weight) and module.in_features <= d_model:
        yield PackedLinear(module.weight, module.bias, _ROWS)


def _norm(module: nn.Module) -> Iterator[nn.Module]:
    weight: Any = getattr(module, "weight", None)
    eps = getattr(module, "variance_epsilon", getattr(module, "eps", None))
    if not type(module).__name__.endswith("RMSNorm") or not isinstance(eps, float) or weight is None:
        return
    if can_pack(weight) and weight.dim() == 1:
        yield FusedRMSNorm(weight.detach(), eps)
        yield FusedRMSNorm(weight.detach() + 1, eps)


def _mlp(module: nn.Module) -> Iterator[nn.Module]:
    children = dict(module.named_children())
    gate, up, down = (children.get(name) for name in ("gate_proj", "up_proj", "down_proj"))
    others = children.keys() - {"gate_proj", "up_proj", "down_proj", "act_fn"}
    if isinstance(gate, PackedLinear) and isinstance(up, PackedLinear) and down is not None and not others:
        for activation in _ACTIVATIONS:
            yield FusedGatedMlp(gate, up, down, activation)


def _agrees(new: nn.Module, old: nn.Module) -> bool:
    """Whether two modules answer alike, on random rows from a hundredth to a thousand in size."""
    width = _width(new)
    generator = torch.Generator().manual_seed(0)
    sizes = torch.logspace(-2, 3, 16)
    x = torch.randn(1, len(sizes), width, generator=generator) * sizes[:, None]
    try:
        expected, found = old(x), new(x)
    except (RuntimeError, NotImplementedError):
        return False
    if found.shape != expected.shape or found.dtype != expected.dtype:
        return False
    return bool(((found - expected).abs().amax(-1) <= _AGREEMENT * expected.abs().amax(-1)).all())


def _width(module: nn.Module) -> int:
    """Width of what a stand-in takes in."""
    if isinstance(module, FusedRMSNorm):
        return module.weight.shape[0]
    if isinstance(module, FusedGatedMlp):
        return module.gate_proj.in_features
    assert isinstance(module, PackedLinear)
    return module.in_features
