"""GroupMax features: the features form k groups of neighbours, and each row keeps the largest of every group.

sparsify, activation `groupmax`. Equal pre-activations in a group: the lower feature index wins.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .active import Active
from .base import Sae


class GroupMax(Sae):
    """f = relu(pre) on the largest of each of k groups of d_sae / k features, else 0."""

    kind = "groupmax"

    def _activation(self, pre: Float[Tensor, "*batch d_sae"]) -> Float[Tensor, "*batch d_sae"]:
        flat = pre.reshape(-1, self.d_sae)
        values, indices = self._strongest(flat)
        return torch.zeros_like(flat).scatter_(1, indices, torch.relu(values)).view(pre.shape)

    def _sparse(self, pre: Float[Tensor, "rows d_sae"]) -> Active:
        values, indices = self._strongest(pre)
        rows, places = (values > 0).nonzero(as_tuple=True)
        return Active(rows, indices[rows, places], values[rows, places])

    def _strongest(self, pre: Float[Tensor, "rows d_sae"]) -> tuple[Float[Tensor, "rows k"], Int[Tensor, "rows k"]]:
        groups = self.cfg.k or 1
        size = self.d_sae // groups
        values, places = pre.view(-1, groups, size).max(dim=2)
        return values, places + torch.arange(groups, device=pre.device) * size
