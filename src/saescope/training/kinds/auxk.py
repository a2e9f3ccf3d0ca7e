"""AuxK: dead features are given the residual to explain. Gao et al. 2024, appendix A.2."""

import torch
from jaxtyping import Float
from torch import Tensor

from .base import Batch, Terms, Weights

COEFFICIENT = 1 / 32


def with_auxk(
    loss: Float[Tensor, ""], weights: Weights, batch: Batch, y_hat: Float[Tensor, "batch d_out"], terms: Terms
) -> Float[Tensor, ""]:
    """The loss and, where features are dead, AuxK / 32."""
    if not bool(terms.dead.any()):
        return loss
    return loss + COEFFICIENT * auxk(weights, batch, (batch.y - y_hat).detach(), terms.dead)


def auxk(weights: Weights, batch: Batch, residual: Float[Tensor, "batch d_out"], dead: Tensor) -> Float[Tensor, ""]:
    """||residual - its reconstruction by the strongest dead features||^2 / ||residual||^2.

    As many of them as the power of two nearest to d_in / 2. Their relu lets the gradient through where they
    are negative: with relu's own, or without any relu, a feature with a very low bias does not come back (tried
    for 400 steps). Its work is (batch × dead features), dense: no more of the dictionary is touched.
    """
    numbers = dead.nonzero().squeeze(1)
    encoder, decoder = weights.encoder[numbers], weights.decoder[numbers]
    pre = torch.addmm(weights.b_enc[numbers], batch.inputs(weights), encoder.T)
    k = 1 << max(0, round(torch.tensor(batch.z.shape[1] / 2).log2().item()))
    if k < len(numbers):
        values, indices = torch.topk(pre, k, sorted=False)
        pre = torch.zeros_like(pre).scatter(1, indices, values)
    values = torch.relu(pre).detach() + pre - pre.detach()
    error = (residual - values @ decoder).square().sum()
    return error / residual.square().sum().clamp(min=1e-12)
