"""More about one batch than every step says: for plots, every so many steps."""

import torch

from ..records import TrainMeasure
from .kinds import Batch, Outcome

DENSE = 0.1
"""Density from which a feature counts as dense."""

DENSITY_EDGES = tuple(10.0 ** (-5 + 0.25 * i) for i in range(21))
"""Bins of densities, 1e-5 to 1, four to a factor of ten; features silent in the batch are in none."""


@torch.no_grad()
def measure(batch: Batch, outcome: Outcome, scale: float) -> TrainMeasure:
    """L1, dense features, densities and shrinkage on a batch; scale takes an activation to its own units.

    Shrinkage: E||y^||^2 / E[y^ . y], 1 where reconstructions are as long as they should be, below where too short
    (the relative reconstruction bias of Rajamanoharan et al. 2024, "Gated Sparse Autoencoders", eq. 10).
    """
    active = outcome.values > 0
    counts = torch.bincount(outcome.chosen.features[active], minlength=outcome.chosen.d_sae)
    density = counts.double() / len(batch)
    edges = torch.tensor(DENSITY_EDGES, dtype=torch.float64, device=density.device)
    bins = (torch.bucketize(density[counts > 0], edges) - 1).clamp(0, len(edges) - 2)
    y_hat = outcome.y_hat.detach()
    along = float((y_hat * batch.y).sum())
    return TrainMeasure(
        l1=float(outcome.values[active].sum()) * scale / len(batch),
        dense=int((density > DENSE).sum()),
        densities=tuple(torch.bincount(bins, minlength=len(edges) - 1).tolist()),
        shrinkage=float(y_hat.square().sum()) / along if along else float("nan"),
    )
