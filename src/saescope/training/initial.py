"""The weights a run starts from, made from a first batch and a seed."""

from collections.abc import Iterator
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from ..sae.active import largest
from .kinds.base import TILE_ROWS, Batch, Objective, Weights, exceeded_on

Centre = Literal["median", "mean", "zero"]

_FIRST_ACTIVE, _FIRST_L0 = 1 / 64, 32
"""Share of features that begin to be active in a kind without a rank (relu, gated), and how many do at least."""


def input_scale(x: Float[Tensor, "batch d_in"]) -> float:
    """The number that x is divided by, so that the mean of ||x||^2 is d_in."""
    mean = float(x.double().square().sum(1).mean())
    return (mean / x.shape[1]) ** 0.5 if mean > 0 else 1.0


def first_weights(objective: Objective, batch: Batch) -> Weights:
    """Random unit decoder rows, the encoder their transpose, b_dec the middle of the batch. Gao et al. 2024, A.1.

    The encoder is scaled so that the first reconstruction has the least error. A transcoder's encoder is random, and a
    feature begins with what the target has where it is active. Where no rank says how many are active, b_enc does:
    each feature begins to be so on an equal share of the batch (Conerly et al. 2025, "Dictionary Learning Optimization
    Techniques"), which is both quicker and better than a start with half of them.
    """
    spec, y = objective.spec, batch.y
    generator = torch.Generator().manual_seed(spec.seed)
    b_dec = centre(y, spec.b_dec)
    encoder = _unit(torch.randn(spec.d_sae, batch.z.shape[1], generator=generator).to(batch.z))
    x, ranked = batch.z - b_dec if batch.centred else batch.z, objective.form not in ("relu", "gated")
    share = min(0.5, max(_FIRST_ACTIVE, _FIRST_L0 / spec.d_sae))
    edge = x.new_zeros(spec.d_sae) if ranked else exceeded_on(x, encoder, share)
    decoder = encoder
    if batch.z is not y:
        decoder = 1e-6 * torch.randn(spec.d_sae, y.shape[1], generator=generator).to(y)
        for rows, features in _features(x, encoder, edge, spec.k if ranked else None):
            decoder += features.T @ (y[rows] - b_dec)
        decoder = _unit(decoder)
    along = size = 0.0
    for rows, features in _features(x, encoder, edge, spec.k if ranked else None):
        first = features @ decoder
        along += float((first * (y[rows] - b_dec)).sum())
        size += float(first.square().sum())
    scale = along / max(size, 1e-12)
    weights = Weights(encoder * scale, -edge * scale, decoder, b_dec)
    if spec.skip:
        weights.skip = x.new_zeros(y.shape[1], x.shape[1])
    objective.extend(weights, batch)
    return weights


def _features(
    x: Tensor, encoder: Tensor, edge: Tensor, k: int | None
) -> Iterator[tuple[slice, Float[Tensor, "rows d_sae"]]]:
    """relu(x @ encoder.T - edge), a tile of rows at a time; k: of the k largest of each row alone."""
    for start in range(0, len(x), TILE_ROWS):
        rows = slice(start, start + TILE_ROWS)
        pre = x[rows] @ encoder.T - edge
        if k is None:
            yield rows, torch.relu(pre)
        else:
            values, indices = largest(pre, k)
            yield rows, torch.zeros_like(pre).scatter_(1, indices, torch.relu(values))


def centre(x: Float[Tensor, "batch d_in"], how: Centre) -> Float[Tensor, "d_in"]:
    """Where b_dec begins."""
    if how == "zero":
        return torch.zeros_like(x[0])
    return x.mean(0) if how == "mean" else geometric_median(x)


def geometric_median(x: Float[Tensor, "batch d_in"], rounds: int = 32) -> Float[Tensor, "d_in"]:
    """The point with the least sum of distances to the rows (Weiszfeld 1937): a middle that outliers cannot move."""
    middle = x.mean(0)
    for _ in range(rounds):
        weight = 1 / (x - middle).norm(dim=1, keepdim=True).clamp(min=1e-6)
        middle = (x * weight).sum(0) / weight.sum()
    return middle


def _unit(rows: Float[Tensor, "d_sae d"]) -> Float[Tensor, "d_sae d"]:
    return rows / rows.norm(dim=1, keepdim=True).clamp(min=1e-12)
