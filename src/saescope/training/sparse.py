"""Products with a matrix of activations that is mostly zero, with their gradients.

A step of training meets one such matrix F [batch, d_sae], with few entries per row. Everything it takes part in,
forward and backward, is one of three products, and each visits the entries only:

    F @ M        the decoder, M [d_sae, d_in]
    F^T @ G      the gradients of both weight matrices, G [batch, d_in]
    (G @ M^T)    at the entries of F: the gradient of the activations

`embedding_bag` is the first two (a bag per row, and a bag per feature), its own backward the third. Where so
many entries are not zero that this is slower than a matrix product (the first steps of ReLU), it is a matrix
product.
"""

from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import embedding_bag

from . import kernels

DENSE_ABOVE = 1 / 16
"""Share of non-zero entries from which a dense product is the faster one."""


class Chosen:
    """Which entries of a [batch, d_sae] matrix are there, ordered by row."""

    def __init__(self, rows: Int[Tensor, "n"], features: Int[Tensor, "n"], batch: int, d_sae: int) -> None:
        self.rows, self.features = rows, features
        self.batch, self.d_sae = batch, d_sae

    @property
    def dense(self) -> bool:
        return len(self.rows) > self.batch * self.d_sae * DENSE_ABOVE

    @cached_property
    def row_starts(self) -> Int[Tensor, "starts"]:
        return _starts(self.rows, self.batch)

    @cached_property
    def by_feature(self) -> tuple[Int[Tensor, "n"], Int[Tensor, "starts"]]:
        """The order that puts entries together by feature, and where each feature's begin."""
        if self.features.device.type == "cpu":
            order, starts = kernels.by_feature(self.features.numpy(), self.d_sae)
            return torch.from_numpy(order), torch.from_numpy(starts)
        return torch.sort(self.features, stable=True).indices, _starts(self.features, self.d_sae)

    def filled(self, values: Float[Tensor, "n"]) -> Float[Tensor, "batch d_sae"]:
        full = values.new_zeros(self.batch, self.d_sae)
        full[self.rows, self.features] = values
        return full


def _starts(sorted_or_not: Int[Tensor, "n"], bags: int) -> Int[Tensor, "starts"]:
    counts = torch.bincount(sorted_or_not, minlength=bags)
    return torch.cat([counts.new_zeros(1), counts.cumsum(0)])


def _times(values: Tensor, chosen: Chosen, matrix: Tensor) -> Tensor:
    """F @ M."""
    if chosen.dense:
        return chosen.filled(values) @ matrix
    return embedding_bag(
        chosen.features, matrix, chosen.row_starts,
        mode="sum", per_sample_weights=values, include_last_offset=True,
    )  # fmt: skip


def _transposed_times(values: Tensor, chosen: Chosen, matrix: Tensor) -> Tensor:
    """F^T @ G."""
    if chosen.dense:
        return chosen.filled(values).T @ matrix
    order, starts = chosen.by_feature
    return embedding_bag(
        chosen.rows[order], matrix, starts,
        mode="sum", per_sample_weights=values[order], include_last_offset=True,
    )  # fmt: skip


def _products_at(grad: Tensor, matrix: Tensor, chosen: Chosen) -> Tensor:
    """(G @ M^T) at the chosen entries."""
    if chosen.dense:
        return (grad @ matrix.T)[chosen.rows, chosen.features]
    return torch.ops.aten._embedding_bag_per_sample_weights_backward(
        grad.contiguous(), matrix, chosen.features, chosen.row_starts[:-1], chosen.rows, 0, -1
    )


class _Encode(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, z: Tensor, encoder: Tensor, b_enc: Tensor, b_dec: Tensor | None, values: Tensor, chosen: Chosen
    ):
        ctx.chosen, ctx.centred = chosen, b_dec is not None
        ctx.save_for_backward(z if b_dec is None else z - b_dec, encoder)
        return values.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor):
        x, encoder = ctx.saved_tensors
        chosen, (grad,) = ctx.chosen, grads
        d_encoder = _transposed_times(grad, chosen, x)
        d_b_enc = grad.new_zeros(chosen.d_sae).index_add_(0, chosen.features, grad)
        return None, d_encoder, d_b_enc, -(d_b_enc @ encoder) if ctx.centred else None, None, None


class _Decode(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, decoder: Tensor, chosen: Chosen):
        ctx.chosen = chosen
        ctx.save_for_backward(values, decoder)
        return _times(values, chosen, decoder)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor):
        values, decoder = ctx.saved_tensors
        chosen, (grad,) = ctx.chosen, grads
        return _products_at(grad, decoder, chosen), _transposed_times(values, chosen, grad), None


def encode_at(
    z: Float[Tensor, "batch d_in"],
    encoder: Float[Tensor, "d_sae d_in"],
    b_enc: Float[Tensor, "d_sae"],
    b_dec: Float[Tensor, "d_in"] | None,
    values: Float[Tensor, "n"],
    chosen: Chosen,
) -> Float[Tensor, "n"]:
    """Pre-activations `values` at the chosen entries, with the gradients of (z - b_dec) @ encoder^T + b_enc."""
    return _Encode.apply(z, encoder, b_enc, b_dec, values, chosen)  # type: ignore[return-value]


def decode_at(
    values: Float[Tensor, "n"], decoder: Float[Tensor, "d_sae d_in"], chosen: Chosen
) -> Float[Tensor, "batch d_in"]:
    """Chosen activations times their decoder rows, summed, with gradients to both."""
    return _Decode.apply(values, decoder, chosen)  # type: ignore[return-value]
