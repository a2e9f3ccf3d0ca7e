"""TopK features: the k largest pre-activations of a row, then relu.

Gao et al. 2024, "Scaling and evaluating sparse autoencoders", section 2.3. The order (top-k first, relu
after, so that a row may have fewer than k active features) is that of SAELens. Equal pre-activations: the
lower feature index wins.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .active import Active, largest, strongest
from .base import Sae
from .screen import Screen


class TopK(Sae):
    """f = relu(pre) on the k largest of each row, else 0."""

    kind = "topk"

    def encode_sparse(
        self, x: Float[Tensor, "*batch d_in"]
    ) -> tuple[Float[Tensor, "*batch k"], Int[Tensor, "*batch k"]]:
        """The k largest activations of each row and their features; nothing dense is made of them."""
        flat = x.reshape(-1, x.shape[-1])
        k = self.cfg.k or 0
        values, indices = (
            self.b_enc.new_empty(len(flat), k),
            torch.empty(len(flat), k, dtype=torch.long, device=self.b_enc.device),
        )
        start = 0
        for pre in self._tiles(flat):
            strongest = largest(pre, k)
            values[start : start + len(pre)] = torch.relu(strongest[0])
            indices[start : start + len(pre)] = strongest[1]
            start += len(pre)
        indices = torch.where(values > 0, indices, 0)
        return values.view(*x.shape[:-1], k), indices.view(*x.shape[:-1], k)

    def _activation(self, pre: Float[Tensor, "*batch d_sae"]) -> Float[Tensor, "*batch d_sae"]:
        flat = pre.reshape(-1, self.d_sae)
        values, indices = largest(flat, self.cfg.k or 0)
        return torch.zeros_like(flat).scatter_(1, indices, torch.relu(values)).view(pre.shape)

    def _sparse(self, pre: Float[Tensor, "rows d_sae"]) -> Active:
        return strongest(*largest(pre, self.cfg.k or 0))

    @property
    def _screens(self) -> bool:
        return 8 * (self.cfg.k or 0) <= self.d_sae

    def _screened(self, screen: Screen, z: Float[Tensor, "rows d_in"]) -> Active:
        return strongest(*screen.largest(z, self.cfg.k or 0))
