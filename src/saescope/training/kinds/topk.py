"""TopK. Gao et al. 2024, "Scaling and evaluating sparse autoencoders", eq. 2 to 4; Multi-TopK: section 5.4."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ...sae.active import Active
from .auxk import with_auxk
from .base import Batch, Objective, Outcome, Terms, Weights, decoded, encoded, fvu, strongest_of_rows

MULTI = 4
"""Multi-TopK adds FVU with this many times k, weighed by 1 / 8."""


class TopK(Objective):
    """FVU of the k largest of each row + AuxK / 32; with --multi-topk + FVU of the 4 k largest / 8."""

    kind = form = "topk"

    def loss(self, weights: Weights, batch: Batch, terms: Terms) -> Outcome:
        k = self.spec.k
        widest = min(MULTI * k, len(weights.b_enc)) if self.spec.multi_topk else k
        found = strongest_of_rows(weights, batch, widest)
        chosen, values = encoded(weights, batch, found)
        if widest > k:
            more = fvu(batch.y, decoded(weights, batch, values, chosen)) / 8
            kept = _best_of_rows(values.detach(), found.rows, len(batch), k)
            chosen, values = encoded(weights, batch, Active(*(column[kept] for column in found)))
        else:
            more = 0.0
        y_hat = decoded(weights, batch, values, chosen)
        loss = with_auxk(fvu(batch.y, y_hat) + more, weights, batch, y_hat, terms)
        return Outcome(loss, y_hat, chosen, values.detach())

    def details(self) -> dict[str, Any]:
        return {"k": self.spec.k, "multi_topk": self.spec.multi_topk}


def _best_of_rows(values: Float[Tensor, "n"], rows: Tensor, batch: int, k: int) -> Tensor:
    """Which entries are among the k largest of their row, in the order they stand; equals: the first ones."""
    by_value = torch.sort(values, descending=True, stable=True).indices
    order = by_value[torch.sort(rows[by_value], stable=True).indices]
    counts = torch.bincount(rows, minlength=batch)
    place = torch.arange(len(rows), device=rows.device) - (counts.cumsum(0) - counts)[rows[order]]
    return order[place < k].sort().values
