"""What each kind minimises: one function per kind, each formula with its paper.

All work on z, activations scaled so that the mean of ||z||^2 is d_in. Legend: e = z^ - z, f the activations,
W a decoder row. FVU here is sum ||e||^2 / sum ||z - mean(z)||^2 over the batch, the denominator held
constant.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ..sae.base import above
from ..sae.topk import largest
from .sparse import Chosen, decode_at, encode_at, pre_activations

AUX_COEFFICIENT = 1 / 32
BANDWIDTH = 0.1
"""Width of JumpReLU's straight-through kernel; normalised pre-activations have a deviation of about 1."""


@dataclass
class Weights:
    """An SAE while it learns: rows are features in both matrices, so that a feature's gradient is one
    stretch.
    """

    encoder: Float[Tensor, "d_sae d_in"]
    b_enc: Float[Tensor, "d_sae"]
    decoder: Float[Tensor, "d_sae d_in"]
    b_dec: Float[Tensor, "d_in"]
    threshold: Float[Tensor, "d_sae"] | None = None
    """JumpReLU's, learned."""

    def parameters(self) -> dict[str, Tensor]:
        return {name: tensor for name, tensor in vars(self).items() if tensor is not None}


@dataclass(frozen=True)
class Terms:
    """What a loss may depend on besides weights and batch."""

    k: int
    l1: float
    sparsity: float
    """Warm-up of the sparsity penalty, 0 to 1."""
    dead: Bool[Tensor, "d_sae"]
    guess: float
    """A value somewhat below BatchTopK's threshold: saves time, never changes the result."""


@dataclass(frozen=True)
class Outcome:
    """One batch through an SAE."""

    loss: Float[Tensor, ""]
    z_hat: Float[Tensor, "batch d_in"]
    chosen: Chosen
    values: Float[Tensor, "n"]


def topk(weights: Weights, z: Float[Tensor, "batch d_in"], terms: Terms) -> Outcome:
    """FVU + AuxK / 32. Gao et al. 2024, eq. 2 to 4 and appendix A.2."""
    pre = _pre(weights, z)
    values, indices = largest(pre, terms.k)
    rows, places = (values > 0).nonzero(as_tuple=True)
    return _reconstruct(weights, z, terms, pre, rows, indices[rows, places])


def batchtopk(weights: Weights, z: Float[Tensor, "batch d_in"], terms: Terms) -> Outcome:
    """The same with the k * batch largest of the whole batch. Bussmann et al. 2024, eq. 4 and 5."""
    pre = _pre(weights, z)
    rows, features = strongest(pre, terms.k * len(z), terms.guess)
    return _reconstruct(weights, z, terms, pre, rows, features)


def jumprelu(weights: Weights, z: Float[Tensor, "batch d_in"], terms: Terms) -> Outcome:
    """FVU + ((L0 / k) - 1)^2, thresholds learned through a rectangle of BANDWIDTH around them.

    Rajamanoharan et al. 2024, eq. 9 to 12 (straight-through gradients); the penalty that aims at an L0
    instead of
    weighing it: Rajamanoharan et al. 2024, appendix D, as Gemma Scope 2 uses it.
    """
    pre, threshold = _pre(weights, z), weights.threshold
    assert threshold is not None
    entries = above(pre, (threshold.detach() - BANDWIDTH / 2).clamp(min=0))
    chosen = Chosen(entries.rows, entries.features, *pre.shape)
    selected = _encode(weights, z, pre, chosen)
    limit = threshold.index_select(0, chosen.features)
    values, steps = _Jump.apply(selected, limit)  # type: ignore[misc]
    z_hat = decode_at(values, weights.decoder, chosen) + weights.b_dec
    l0 = steps.sum() / len(z)
    loss = _fvu(z, z_hat) + terms.sparsity * (l0 / terms.k - 1).square()
    return Outcome(loss, z_hat, chosen, values.detach())


def relu(weights: Weights, z: Float[Tensor, "batch d_in"], terms: Terms) -> Outcome:
    """mean ||e||^2 + l1 * mean sum_i f_i ||W_i||. Conerly et al. 2024 (Anthropic, April update), with its
    warm-up.
    """
    pre = _pre(weights, z)
    entries = above(pre, pre.new_zeros(1))
    chosen = Chosen(entries.rows, entries.features, *pre.shape)
    values = _encode(weights, z, pre, chosen)
    z_hat = decode_at(values, weights.decoder, chosen) + weights.b_dec
    totals = values.new_zeros(len(weights.b_enc)).index_add(0, chosen.features, values)
    penalty = (totals * weights.decoder.norm(dim=1)).sum() / len(z)
    loss = (z_hat - z).square().sum() / len(z) + terms.l1 * terms.sparsity * penalty
    return Outcome(loss, z_hat, chosen, values.detach())


LOSSES: dict[str, Callable[[Weights, Tensor, Terms], Outcome]] = {
    "topk": topk,
    "batchtopk": batchtopk,
    "jumprelu": jumprelu,
    "relu": relu,
}


def strongest(pre: Float[Tensor, "batch d_sae"], count: int, guess: float = 0.0) -> tuple[Tensor, Tensor]:
    """Rows and features of the `count` largest positive entries; among equals at the edge, the first ones.

    Only entries above `guess` are looked at, unless they turn out too few.
    """
    entries = above(pre, pre.new_tensor([max(guess, 0.0)]))
    if len(entries.values) < count and guess > 0:
        entries = above(pre, pre.new_zeros(1))
    rows, features, values = entries
    if len(values) <= count:
        return rows, features
    edge = torch.kthvalue(values, len(values) - count + 1).values
    keep = values > edge
    ties = (values == edge).nonzero().squeeze(1)
    keep[ties[: count - int(keep.sum())]] = True
    return rows[keep], features[keep]


class _Jump(torch.autograd.Function):
    """(pre, threshold) -> (pre * H(pre - threshold), H(pre - threshold)), H's derivative taken to be a
    rectangle.
    """

    @staticmethod
    def forward(ctx, selected: Tensor, limit: Tensor):
        ctx.save_for_backward(selected, limit)
        step = (selected > limit).to(selected.dtype)
        return selected * step, step

    @staticmethod
    def backward(ctx, *grads: Tensor):
        selected, limit = ctx.saved_tensors
        d_values, d_steps = grads
        kernel = ((selected - limit).abs() < BANDWIDTH / 2).to(selected.dtype) / BANDWIDTH
        return d_values * (selected > limit), -(d_values * limit + d_steps) * kernel


def _reconstruct(weights: Weights, z: Tensor, terms: Terms, pre: Tensor, rows: Tensor, features: Tensor) -> Outcome:
    chosen = Chosen(rows, features, *pre.shape)
    values = _encode(weights, z, pre, chosen)
    z_hat = decode_at(values, weights.decoder, chosen) + weights.b_dec
    loss = _fvu(z, z_hat)
    if bool(terms.dead.any()):
        loss = loss + AUX_COEFFICIENT * aux_k(weights, z, (z - z_hat).detach(), terms.dead)
    return Outcome(loss, z_hat, chosen, values.detach())


def aux_k(
    weights: Weights, z: Float[Tensor, "batch d_in"], residual: Float[Tensor, "batch d_in"], dead: Tensor
) -> Float[Tensor, ""]:
    """||residual - its reconstruction by the strongest dead features||^2 / ||residual||^2. Gao et al. 2024, A.2.

    As many of them as the power of two nearest to d_in / 2. Their relu lets the gradient through where they
    are negative: with relu's own, or without any relu, a feature with a very low bias does not come back (tried
    for 400 steps).
    """
    numbers = dead.nonzero().squeeze(1)
    encoder, decoder = weights.encoder[numbers], weights.decoder[numbers]
    pre = (z - weights.b_dec.detach()) @ encoder.T + weights.b_enc[numbers]
    k_aux = 1 << max(0, round(torch.tensor(z.shape[1] / 2).log2().item()))
    if k_aux < len(numbers):
        values, indices = torch.topk(pre, k_aux, sorted=False)
        pre = torch.zeros_like(pre).scatter(1, indices, values)
    values = torch.relu(pre).detach() + pre - pre.detach()
    error = (residual - values @ decoder).square().sum()
    return error / residual.square().sum().clamp(min=1e-12)


def _pre(weights: Weights, z: Tensor) -> Tensor:
    return pre_activations(z, weights.encoder, weights.b_enc, weights.b_dec)


def _encode(weights: Weights, z: Tensor, pre: Tensor, chosen: Chosen) -> Tensor:
    return encode_at(z, weights.encoder, weights.b_enc, weights.b_dec, pre, chosen)


def _fvu(z: Tensor, z_hat: Tensor) -> Tensor:
    variance = (z - z.mean(0)).square().sum().clamp(min=1e-12)
    return (z_hat - z).square().sum() / variance
