"""BatchTopK. Bussmann, Leask and Nanda 2024, "BatchTopK Sparse Autoencoders", eq. 4 to 7."""

import torch
from torch import Tensor

from ...sae.active import Active, above
from ...specs import TrainSae
from .auxk import with_auxk
from .base import Batch, Objective, Outcome, Terms, Weights, choose, decoded, encoded, exceeding, fvu

THRESHOLD_RATE = 0.1
"""How fast the threshold of inference follows the smallest activation kept, which a batch tells to a percent.

At 0.01 it lags behind: a run of 200 steps ends with an L0 of 25 where k is 32.
"""

_LOWER = 0.9
"""Candidates are looked for from this share of the last step's smallest activation on: they nearly always suffice."""

_SAMPLED_ROWS = 64
"""Rows that say where to look, when there is no such activation or the candidates are too few."""


class BatchTopK(Objective):
    """FVU of the k * batch largest of the whole batch + AuxK / 32."""

    kind = form = "batchtopk"

    def __init__(self, spec: TrainSae, total_steps: int) -> None:
        super().__init__(spec, total_steps)
        self._least = 0.0
        """The last step's smallest activation; what is found does not depend on it."""

    def loss(self, weights: Weights, batch: Batch, terms: Terms) -> Outcome:
        chosen, values = encoded(weights, batch, self.strongest(weights, batch))
        y_hat = decoded(weights, batch, values, chosen)
        loss = with_auxk(fvu(batch.y, y_hat), weights, batch, y_hat, terms)
        return Outcome(loss, y_hat, chosen, values.detach())

    def strongest(self, weights: Weights, batch: Batch) -> Active:
        return strongest(weights, batch, self.spec.k * len(batch), _LOWER * self._least)

    def follow(self, outcome: Outcome, steps: int) -> None:
        active = outcome.values[outcome.values > 0]
        if len(active):
            self._least, threshold = float(active.min()), self.facts.get("threshold", 0.0)
            rate = THRESHOLD_RATE if steps > 1 else 1.0
            self.facts["threshold"] = threshold + rate * (self._least - threshold)

    def parts(self, weights: Weights, scale: float | Tensor) -> dict[str, Tensor]:
        return {"threshold": torch.full_like(weights.b_enc.detach(), self.facts.get("threshold", 0.0)) * scale}


def strongest(weights: Weights, batch: Batch, count: int, guess: float = 0.0) -> Active:
    """The `count` largest positive entries; among equals at the edge, the first ones.

    Only entries above a limit are looked at: `guess`, or else what a sample of the batch says, lowered while they turn
    out too few. It saves time and memory, and never changes the result.
    """
    limit = guess or _exceeded(weights, batch, 2 * count)
    found = _above(weights, batch, limit)
    while len(found.values) < count and limit > 0:
        lower = _exceeded(weights, batch, 2 * count)
        limit = lower if lower < limit / 2 else limit / 2
        found = _above(weights, batch, limit)
    rows, features, values = found
    if len(values) <= count:
        return found
    edge = torch.kthvalue(values, len(values) - count + 1).values
    keep = values > edge
    ties = (values == edge).nonzero().squeeze(1)
    keep[ties[: count - int(keep.sum())]] = True
    return Active(rows[keep], features[keep], values[keep])


def _above(weights: Weights, batch: Batch, limit: float) -> Active:
    """The entries above a limit; above zero, half of all may be."""
    limits = weights.b_enc.new_tensor([limit])
    return exceeding(weights, batch, limits) if limit else choose(weights, batch, lambda pre: above(pre, limits))


def _exceeded(weights: Weights, batch: Batch, count: int) -> float:
    """A positive number that about so many of the batch's entries exceed, as some rows say; 0 if there is none."""
    step = max(1, len(batch) // _SAMPLED_ROWS)
    pre = batch.inputs(weights)[::step] @ weights.encoder.detach().T + weights.b_enc.detach()
    wanted = min(pre.numel(), int(count * len(pre) / len(batch)) + 1)
    return max(0.0, float(torch.kthvalue(pre.reshape(-1), pre.numel() - wanted + 1).values))
