"""Gated. Rajamanoharan et al. 2024, "Improving Dictionary Learning with Gated Sparse Autoencoders", eq. 6 to 8."""

from typing import Any

import torch
from torch import Tensor

from ..sparse import decode_at
from .base import Batch, Objective, Outcome, Terms, Weights, decoded, encoded, positive, squared_error
from .relu import totals


class Gated(Objective):
    """mean ||e||^2 + l1 * mean sum_i relu(gate_i) + mean ||y - frozen decoder(relu(gate))||^2.

    The gate is pre, its bias b_enc; a feature's strength is relu(exp(r_mag) (pre - b_enc) + b_mag) where its gate is
    open. The step function lets no gradient through: the last two terms are what the gate learns from.
    """

    kind = form = "gated"

    def extend(self, weights: Weights, batch: Batch) -> None:
        """Where its gate is open, a feature's strength begins as what the gate says."""
        weights.r_mag = torch.zeros_like(weights.b_enc)
        weights.b_mag = weights.b_enc.clone()

    def loss(self, weights: Weights, batch: Batch, terms: Terms) -> Outcome:
        assert weights.r_mag is not None
        assert weights.b_mag is not None
        chosen, gate = encoded(weights, batch, positive(weights, batch))
        at = chosen.features
        strength = (gate - weights.b_enc[at]) * weights.r_mag.exp()[at] + weights.b_mag[at]
        values = torch.relu(strength)
        y_hat = decoded(weights, batch, values, chosen)
        by_gate = decode_at(gate, weights.decoder.detach(), chosen) + weights.b_dec.detach()
        if weights.skip is not None:
            by_gate = by_gate + batch.z @ weights.skip.detach().T
        penalty = totals(gate, chosen).sum() / len(batch)
        loss = squared_error(batch.y, y_hat) + squared_error(batch.y, by_gate)
        return Outcome(loss + self.spec.l1 * terms.sparsity * penalty, y_hat, chosen, values.detach())

    def parts(self, weights: Weights, scale: float | Tensor) -> dict[str, Tensor]:
        assert weights.r_mag is not None
        assert weights.b_mag is not None
        return {"r_mag": weights.r_mag.detach().clone(), "b_mag": weights.b_mag.detach() * scale}

    def details(self) -> dict[str, Any]:
        return {"l1_coefficient": self.spec.l1}
