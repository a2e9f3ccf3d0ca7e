"""TopK features: the k largest pre-activations of a row, then relu.

Gao et al. 2024, "Scaling and evaluating sparse autoencoders", section 2.3. The order (top-k first, relu
after, so that a row may have fewer than k active features) is that of SAELens. Equal pre-activations: the
lower feature index wins.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .base import Active, Sae


class TopK(Sae):
    """f = relu(pre) on the k largest of each row, else 0."""

    kind = "topk"

    def encode_sparse(
        self, x: Float[Tensor, "*batch d_in"]
    ) -> tuple[Float[Tensor, "*batch k"], Int[Tensor, "*batch k"]]:
        """The k largest activations of each row and their features; nothing dense is made of them."""
        flat = x.reshape(-1, x.shape[-1])
        k = self.cfg.k or 0
        values, indices = (
            self.b_enc.new_empty(len(flat), k),
            torch.empty(len(flat), k, dtype=torch.long, device=self.b_enc.device),
        )
        start = 0
        for pre in self._tiles(flat):
            strongest = largest(pre, k)
            values[start : start + len(pre)] = torch.relu(strongest[0])
            indices[start : start + len(pre)] = strongest[1]
            start += len(pre)
        indices = torch.where(values > 0, indices, 0)
        return values.view(*x.shape[:-1], k), indices.view(*x.shape[:-1], k)

    def _activation(self, pre: Float[Tensor, "*batch d_sae"]) -> Float[Tensor, "*batch d_sae"]:
        flat = pre.reshape(-1, self.d_sae)
        values, indices = largest(flat, self.cfg.k or 0)
        return torch.zeros_like(flat).scatter_(1, indices, torch.relu(values)).view(pre.shape)

    def _sparse(self, pre: Float[Tensor, "rows d_sae"]) -> Active:
        values, indices = largest(pre, self.cfg.k or 0)
        rows, places = (values > 0).nonzero(as_tuple=True)
        return Active(rows, indices[rows, places], values[rows, places])


def largest(pre: Float[Tensor, "rows d_sae"], k: int) -> tuple[Float[Tensor, "rows k"], Int[Tensor, "rows k"]]:
    """The k largest of each row, by index; among equals at the edge the lowest indices win.

    A compiled loop on the CPU, tensors elsewhere: the same answer.
    """
    width = pre.shape[1]
    if k >= width:
        return pre, torch.arange(width, device=pre.device).expand_as(pre)
    if pre.device.type == "cpu" and pre.dtype == torch.float32 and not pre.requires_grad:
        return _compiled(pre, k)
    return _tensors(pre, k)


def _compiled(pre: Float[Tensor, "rows d_sae"], k: int) -> tuple[Float[Tensor, "rows k"], Int[Tensor, "rows k"]]:
    from . import kernels

    values, indices = pre.new_empty(len(pre), k), torch.empty(len(pre), k, dtype=torch.long)
    kernels.largest(pre.contiguous().numpy(), k, values.numpy(), indices.numpy(), torch.get_num_threads())
    return values, indices


def _tensors(pre: Float[Tensor, "rows d_sae"], k: int) -> tuple[Float[Tensor, "rows k"], Int[Tensor, "rows k"]]:
    """One more than k is looked for: only where the k-th and the next are equal is there a choice to make, and
    only those few rows are sorted in full.
    """
    values, indices = torch.topk(pre, k + 1)
    tied = ((values[:, k - 1] == values[:, k]) & (values[:, k] > 0)).nonzero().squeeze(1)
    indices = indices[:, :k]
    if len(tied):
        order = torch.sort(pre[tied], dim=1, descending=True, stable=True).indices
        indices[tied] = order[:, :k]
    indices = indices.sort(dim=1).values
    return pre.gather(1, indices), indices
