"""Gated features: one row of the encoder decides whether a feature is active, and, rescaled, how strong it is.

Rajamanoharan et al. 2024, "Improving Dictionary Learning with Gated Sparse Autoencoders", eq. 6 and 8.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from .active import Active, above
from .base import Sae


class Gated(Sae):
    """f = relu(exp(r_mag) * (pre - b_enc) + b_mag) where pre > 0 (strictly), else 0; b_enc is the gate's bias."""

    kind = "gated"
    per_feature = ("b_mag", "r_mag")

    b_mag: Float[nn.Parameter, "d_sae"]
    r_mag: Float[nn.Parameter, "d_sae"]

    def _activation(self, pre: Float[Tensor, "*batch d_sae"]) -> Float[Tensor, "*batch d_sae"]:
        strength = (pre - self.b_enc) * self.r_mag.exp() + self.b_mag
        return torch.where(pre > 0, torch.relu(strength), 0)

    def _sparse(self, pre: Float[Tensor, "rows d_sae"]) -> Active:
        rows, features, values = above(pre, pre.new_zeros(1))
        strength = (values - self.b_enc[features]) * self.r_mag[features].exp() + self.b_mag[features]
        active = strength > 0
        return Active(rows[active], features[active], strength[active])

    def excess(self, f: Float[Tensor, "batch n"], features: Int[Tensor, "n"]) -> Float[Tensor, "batch n"]:
        """Silent is a feature whose gate is shut or whose strength is 0, whichever is nearer."""
        b_gate, b_mag, r_mag = (part.float()[features] for part in (self.b_enc, self.b_mag, self.r_mag))
        gate = (f - b_mag) / r_mag.exp() + b_gate
        return torch.where(f > 0, torch.minimum(gate, f / r_mag.exp()), 0)
