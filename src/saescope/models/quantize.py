"""Weight-only quantization of a model's layers: small weights at rest, full precision in the arithmetic.

Each linear map of the decoder layers keeps int8 (or packed int4) weights and their scales; a call turns them
into the activations' dtype for that one product. Embeddings, norms and the vocabulary head stay as they are.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from ..errors import BadValue

_GROUP = 64
_LEVELS_INT8 = 127
_LEVELS_INT4 = 7


class Int8Linear(nn.Module):
    """y = (x Q^T) * scale + bias; Q int8 [d_out, d_in], one scale for each output channel, symmetric."""

    def __init__(self, weight: Float[Tensor, "d_out d_in"], bias: Tensor | None) -> None:
        super().__init__()
        self.out_features, self.in_features = weight.shape
        largest = weight.float().abs().amax(dim=1)
        scale = torch.where(largest > 0, largest / _LEVELS_INT8, 1.0)
        rounded = (weight.float() / scale[:, None]).round().to(torch.int8)
        self.register_buffer("weight", rounded)
        self.register_buffer("scale", scale.to(weight.dtype))
        self.register_buffer("bias", bias)

    def forward(self, x: Float[Tensor, "*rows d_in"]) -> Float[Tensor, "*rows d_out"]:
        weight: Any = self.weight
        scale: Any = self.scale
        bias: Any = self.bias
        if x.dtype == torch.float16:  # sums of unscaled products would leave its range
            return functional.linear(x, weight.to(x.dtype) * scale[:, None], bias)
        y = functional.linear(x, weight.to(x.dtype)).mul_(scale)
        return y if bias is None else y.add_(bias)


class Int4Linear(nn.Module):
    """y = x W^T + bias; W in int4, two values to a byte, one scale for each group of inputs, symmetric."""

    def __init__(self, weight: Float[Tensor, "d_out d_in"], bias: Tensor | None) -> None:
        super().__init__()
        self.out_features, self.in_features = weight.shape
        size = _GROUP if self.in_features % _GROUP == 0 else self.in_features
        groups = weight.float().unflatten(1, (-1, size))
        largest = groups.abs().amax(dim=2, keepdim=True)
        scale = torch.where(largest > 0, largest / _LEVELS_INT4, 1.0)
        levels = ((groups / scale).round() + _LEVELS_INT4 + 1).to(torch.uint8).flatten(1)
        if self.in_features % 2:
            levels = functional.pad(levels, (0, 1))
        self.register_buffer("weight", levels[:, ::2] | (levels[:, 1::2] << 4))
        self.register_buffer("scale", scale.to(weight.dtype))
        self.register_buffer("bias", bias)

    def forward(self, x: Float[Tensor, "*rows d_in"]) -> Float[Tensor, "*rows d_out"]:
        packed: Any = self.weight
        scale: Any = self.scale
        bias: Any = self.bias
        levels = torch.stack((packed & 15, packed >> 4), dim=2).flatten(1)[:, : self.in_features]
        groups = (levels.to(x.dtype) - (_LEVELS_INT4 + 1)).unflatten(1, (scale.shape[1], -1))
        return functional.linear(x, (groups * scale).flatten(1), bias)


def check_quantize(quantize: str, device: torch.device) -> None:
    """BadValue where this kind of quantization cannot be done on this device."""
    if quantize not in ("none", "int8", "int4"):
        raise BadValue(f"quantize: {quantize!r} is not known", "use none, int8 or int4")
    if quantize == "int4" and device.type != "cuda":
        raise BadValue(
            f"quantize: int4 needs a CUDA device, this is {device.type!r}", "use int8 or none on this machine"
        )


@torch.no_grad()
def quantize_layers(layers: nn.ModuleList, quantize: str) -> int:
    """Replace every linear map inside the layers, one at a time, and count them; BadValue when none."""
    kind = {"int8": Int8Linear, "int4": Int4Linear}[quantize]
    found = [
        (parent, name, child)
        for parent in list(layers.modules())
        for name, child in parent.named_children()
        if _weight_of(child) is not None
    ]
    if not found:
        raise BadValue(f"quantize: {quantize} found no linear map in the model's layers", "use --quantize none")
    for parent, name, child in found:
        weight = _weight_of(child)
        assert weight is not None
        setattr(parent, name, kind(weight, child.bias))
        child.register_parameter("weight", None)  # the float weights go as soon as their int8 stand in
    return len(found)


def _weight_of(module: Any) -> Tensor | None:
    """The weight [d_out, d_in] of a linear map; GPT-2's Conv1D keeps it the other way round."""
    if type(module) is nn.Linear:
        return module.weight.detach()
    if type(module).__name__ == "Conv1D" and getattr(module, "weight", None) is not None:
        return module.weight.detach().t()
    return None
