"""The weights a run starts from, made from a first batch and a seed."""

import torch
from jaxtyping import Float
from torch import Tensor

from ..sae.topk import largest
from .losses import Weights
from .sparse import pre_activations


def input_scale(x: Float[Tensor, "batch d_in"]) -> float:
    """The number that x is divided by, so that the mean of ||x||^2 is d_in."""
    mean = float(x.double().square().sum(1).mean())
    return (mean / x.shape[1]) ** 0.5 if mean > 0 else 1.0


def first_weights(z: Float[Tensor, "batch d_in"], kind: str, d_sae: int, k: int, seed: int) -> Weights:
    """Random unit decoder rows, the encoder their transpose, b_dec the middle of the batch. Gao et al. 2024,
    A.1.

    The encoder is scaled so that the first reconstruction has the least error. JumpReLU's thresholds begin
    where each feature is active on k / d_sae of the batch: at the target, with no feature dead.
    """
    generator = torch.Generator().manual_seed(seed)
    decoder = torch.randn(d_sae, z.shape[1], generator=generator).to(z)
    decoder /= decoder.norm(dim=1, keepdim=True)
    b_dec = geometric_median(z)
    zeros = z.new_zeros(d_sae)
    pre = pre_activations(z, decoder, zeros, b_dec)
    features = torch.relu(pre)
    if kind != "relu":
        values, indices = largest(pre, k)
        features = torch.zeros_like(pre).scatter_(1, indices, torch.relu(values))
    first = features @ decoder
    scale = float((first * (z - b_dec)).sum() / first.square().sum().clamp(min=1e-12))
    threshold = None
    if kind == "jumprelu":
        rank = max(1, round(len(z) * (1 - k / d_sae)))
        threshold = (torch.kthvalue(pre, rank, dim=0).values * scale).clamp(min=1e-3)
    return Weights(decoder * scale, zeros, decoder, b_dec, threshold)


def geometric_median(x: Float[Tensor, "batch d_in"], rounds: int = 32) -> Float[Tensor, "d_in"]:
    """The point with the least sum of distances to the rows (Weiszfeld 1937): a middle that outliers cannot
    move.
    """
    middle = x.mean(0)
    for _ in range(rounds):
        weight = 1 / (x - middle).norm(dim=1, keepdim=True).clamp(min=1e-6)
        middle = (x * weight).sum(0) / weight.sum()
    return middle
