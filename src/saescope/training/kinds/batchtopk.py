"""BatchTopK. Bussmann, Leask and Nanda 2024, "BatchTopK Sparse Autoencoders", eq. 4 to 7."""

import torch
from torch import Tensor

from ...sae.active import Active, above
from .auxk import with_auxk
from .base import Batch, Objective, Outcome, Terms, Weights, choose, decoded, encoded, exceeding, fvu, tiles

THRESHOLD_RATE = 0.01
"""How fast the threshold of inference follows the smallest activation kept."""

_LOWER = 0.8
"""Candidates are looked for from this share of the threshold on, so that they nearly always suffice."""


class BatchTopK(Objective):
    """FVU of the k * batch largest of the whole batch + AuxK / 32."""

    kind = form = "batchtopk"

    def loss(self, weights: Weights, batch: Batch, terms: Terms) -> Outcome:
        chosen, values = encoded(weights, batch, self.strongest(weights, batch))
        y_hat = decoded(weights, batch, values, chosen)
        loss = with_auxk(fvu(batch.y, y_hat), weights, batch, y_hat, terms)
        return Outcome(loss, y_hat, chosen, values.detach())

    def strongest(self, weights: Weights, batch: Batch) -> Active:
        return strongest(weights, batch, self.spec.k * len(batch), _LOWER * self.facts.get("threshold", 0.0))

    def follow(self, outcome: Outcome, steps: int) -> None:
        active = outcome.values[outcome.values > 0]
        if len(active):
            least, threshold = float(active.min()), self.facts.get("threshold", 0.0)
            rate = THRESHOLD_RATE if steps > 1 else 1.0
            self.facts["threshold"] = threshold + rate * (least - threshold)

    def parts(self, weights: Weights, scale: float | Tensor) -> dict[str, Tensor]:
        return {"threshold": torch.full_like(weights.b_enc.detach(), self.facts.get("threshold", 0.0)) * scale}


def strongest(weights: Weights, batch: Batch, count: int, guess: float = 0.0) -> Active:
    """The `count` largest positive entries; among equals at the edge, the first ones.

    Only entries above a limit are looked at: `guess`, which is lowered where they turn out too few. Without a guess the
    first tile says where to begin. It saves time and memory, and never changes the result.
    """
    if guess == 0.0:
        guess = _twice_as_many(next(tiles(weights, batch))[1], count / len(batch))
    rows, features, values = _above(weights, batch, max(guess, 0.0))
    if len(values) < count and guess > 0.0:
        rows, features, values = _above(weights, batch, 0.0)
    if len(values) <= count:
        return Active(rows, features, values)
    edge = torch.kthvalue(values, len(values) - count + 1).values
    keep = values > edge
    ties = (values == edge).nonzero().squeeze(1)
    keep[ties[: count - int(keep.sum())]] = True
    return Active(rows[keep], features[keep], values[keep])


def _above(weights: Weights, batch: Batch, limit: float) -> Active:
    """The entries above a limit; above zero, half of all may be."""
    limits = weights.b_enc.new_tensor([limit])
    return exceeding(weights, batch, limits) if limit else choose(weights, batch, lambda pre: above(pre, limits))


def _twice_as_many(pre: Tensor, per_row: float) -> float:
    """A limit that twice as many of the tile's entries exceed as are wanted."""
    wanted = min(pre.numel(), int(2 * per_row * len(pre)) + 1)
    return max(0.0, float(torch.kthvalue(pre.reshape(-1), pre.numel() - wanted + 1).values))
