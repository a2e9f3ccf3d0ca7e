"""ReLU features, trained with an L1 penalty.

Bricken et al. 2023, "Towards Monosemanticity"; the norm-weighted penalty: Conerly et al., Anthropic, April
2024 update.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from .active import Active, above
from .base import Sae


class ReLU(Sae):
    """f = relu(pre)."""

    kind = "relu"

    def _activation(self, pre: Float[Tensor, "*batch d_sae"]) -> Float[Tensor, "*batch d_sae"]:
        return torch.relu(pre)

    def _sparse(self, pre: Float[Tensor, "rows d_sae"]) -> Active:
        return above(pre, pre.new_zeros(1))
