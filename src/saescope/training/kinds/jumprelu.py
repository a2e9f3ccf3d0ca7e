"""JumpReLU. Rajamanoharan et al. 2024, "Jumping Ahead: Improving Reconstruction Fidelity with JumpReLU Sparse
Autoencoders", eq. 9 to 12; the penalty that aims at an L0: its appendix D; the tanh penalty: Conerly et al. 2025,
"Dictionary Learning Optimization Techniques" (Anthropic, January 2025)."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from .base import Batch, Objective, Outcome, Terms, Weights, decoded, encoded, exceeded_on, exceeding, fvu

BANDWIDTH = 0.1
"""Width of the straight-through kernel; normalised pre-activations have a deviation of about 1."""

TANH = 4.0
"""How steep the tanh penalty is."""


class JumpReLU(Objective):
    """FVU + a penalty, thresholds learned through a rectangle of BANDWIDTH around them.

    The penalty: `target` ((L0 / k) - 1)^2, `step` l1 * L0 / d_in, `tanh` l1 * mean sum_i tanh(TANH f_i) / d_in.
    """

    kind = form = "jumprelu"

    def extend(self, weights: Weights, batch: Batch) -> None:
        """Thresholds begin where each feature is active on k / d_sae of the batch: at the target, and none dead."""
        edge = exceeded_on(batch.inputs(weights), weights.encoder.detach(), self.spec.k / len(weights.b_enc))
        weights.threshold = (edge + weights.b_enc).clamp(min=1e-3)

    def loss(self, weights: Weights, batch: Batch, terms: Terms) -> Outcome:
        assert weights.threshold is not None
        near = (weights.threshold.detach() - BANDWIDTH / 2).clamp(min=0)
        chosen, selected = encoded(weights, batch, exceeding(weights, batch, near))
        values, steps = _Jump.apply(selected, weights.threshold[chosen.features])  # type: ignore[misc]
        y_hat = decoded(weights, batch, values, chosen)
        loss = fvu(batch.y, y_hat) + terms.sparsity * self._penalty(values, steps, batch)
        return Outcome(loss, y_hat, chosen, values.detach())

    def _penalty(self, values: Tensor, steps: Tensor, batch: Batch) -> Float[Tensor, ""]:
        if self.spec.penalty == "target":
            return (steps.sum() / len(batch) / self.spec.k - 1).square()
        counted = steps if self.spec.penalty == "step" else torch.tanh(TANH * values)
        return self.spec.l1 * counted.sum() / len(batch) / batch.z.shape[1]

    def parts(self, weights: Weights, scale: float | Tensor) -> dict[str, Tensor]:
        assert weights.threshold is not None
        return {"threshold": weights.threshold.detach() * scale}

    def details(self) -> dict[str, Any]:
        if self.spec.penalty == "target":
            return {"k": self.spec.k, "penalty": "target"}
        return {"penalty": self.spec.penalty, "coefficient": self.spec.l1}


class _Jump(torch.autograd.Function):
    """(pre, threshold) -> (pre * H(pre - threshold), H(pre - threshold)), H's derivative taken to be a rectangle."""

    @staticmethod
    def forward(ctx: Any, selected: Tensor, limit: Tensor):
        ctx.save_for_backward(selected, limit)
        step = (selected > limit).to(selected.dtype)
        return selected * step, step

    @staticmethod
    def backward(ctx: Any, *grads: Tensor):
        selected, limit = ctx.saved_tensors
        d_values, d_steps = grads
        kernel = ((selected - limit).abs() < BANDWIDTH / 2).to(selected.dtype) / BANDWIDTH
        return d_values * (selected > limit), -(d_values * limit + d_steps) * kernel
