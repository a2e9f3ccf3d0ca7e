"""ReLU with a penalty on activations times decoder norms. Conerly et al. 2024, "Update on how we train SAEs"
(Anthropic, April 2024)."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ..sparse import Chosen
from .base import Batch, Objective, Outcome, Terms, Weights, decoded, encoded, positive, squared_error


class ReLU(Objective):
    """mean ||e||^2 + l1 * mean sum_i f_i ||W_i||, its weight warmed up; decoder norms are free."""

    kind = form = "relu"
    unit_norm = False

    def loss(self, weights: Weights, batch: Batch, terms: Terms) -> Outcome:
        chosen, values = encoded(weights, batch, positive(weights, batch))
        y_hat = decoded(weights, batch, values, chosen)
        penalty = (totals(values, chosen) * self.norms(weights)).sum() / len(batch)
        loss = squared_error(batch.y, y_hat) + self.spec.l1 * terms.sparsity * penalty
        return Outcome(loss, y_hat, chosen, values.detach())

    def norms(self, weights: Weights) -> Float[Tensor, "d_sae"]:
        """What an activation is weighed with."""
        return weights.decoder.norm(dim=1)

    def details(self) -> dict[str, Any]:
        return {"l1_coefficient": self.spec.l1}


def totals(values: Float[Tensor, "n"], chosen: Chosen) -> Float[Tensor, "d_sae"]:
    """The sum of each feature's activations."""
    return torch.zeros(chosen.d_sae, dtype=values.dtype, device=values.device).index_add(0, chosen.features, values)
