"""Matrix products whose weights are laid out once for the CPU's product routine (oneDNN).

A plain product finds its weights in rows and rearranges them on every call, by a library that is not equally good on
every maker's processors. Packed once, the same products take 0.6 to 0.85 of the time (docs/performance.md).
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn


def can_pack(weight: Tensor) -> bool:
    """Whether products with this weight can be packed here: float32 on a CPU whose torch has oneDNN."""
    return (
        weight.device.type == "cpu"
        and weight.dtype == torch.float32
        and torch.backends.mkldnn.is_available()
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )


def can_pack_wide(weight: Tensor) -> bool:
    """Whether a product with many outputs is quicker packed, as an SAE's encoder is.

    Not on Intel's processors: torch.mm is their maker's own library there, and takes 0.77 of the packed product's time.
    """
    name = getattr(torch.cpu, "get_capabilities", dict)().get("cpu_name", "")
    return can_pack(weight) and "Intel" not in str(name)


class PackedLinear(nn.Module):
    """y = x W^T + bias; the weight is kept in oneDNN's own layout alone. For answers, not for training."""

    def __init__(self, weight: Float[Tensor, "d_out d_in"], bias: Tensor | None, rows: int) -> None:
        """rows: how many there will most often be in x; any number works."""
        super().__init__()
        self.out_features, self.in_features = weight.shape
        self.packed = torch.ops.mkldnn._reorder_linear_weight(weight.detach().contiguous(), rows)
        self.bias = bias

    def forward(
        self,
        x: Float[Tensor, "*rows d_in"],
        then: tuple[str, str] | None = None,
        times: Float[Tensor, "*rows d_out"] | None = None,
    ) -> Float[Tensor, "*rows d_out"]:
        """The product; in the same pass, an activation of it or its product with another tensor.

        then: ("swish", ""), ("gelu", "none") or ("gelu", "tanh").
        """
        if times is not None:
            return torch.ops.mkldnn._linear_pointwise.binary(x, times, self.packed, self.bias, "mul")
        name, variant = then or ("none", "")
        return torch.ops.mkldnn._linear_pointwise(x, self.packed, self.bias, name, [], variant)
