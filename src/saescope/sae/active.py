"""The non-zero activations of a batch as three columns, and how they are found in a tile of pre-activations."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor


class Active(NamedTuple):
    """The non-zero activations of a batch, ordered by row, then by feature."""

    rows: Int[Tensor, "n"]
    features: Int[Tensor, "n"]
    values: Float[Tensor, "n"]


def above(pre: Float[Tensor, "rows d_sae"], limit: Float[Tensor, "#d_sae"]) -> Active:
    """The entries of `pre` that exceed their feature's limit, or one limit for all, as columns.

    A compiled loop on the CPU, tensors elsewhere: the same answer.
    """
    if pre.device.type == "cpu" and pre.dtype == torch.float32 and not pre.requires_grad:
        from . import kernels

        threads = torch.get_num_threads()
        limits = limit.detach().to(pre.dtype).expand(pre.shape[1]).contiguous()
        columns = kernels.above(pre.contiguous().numpy(), limits.numpy(), pre.numel(), threads)
        assert columns is not None
        return Active(*map(torch.from_numpy, columns))
    return above_in_tensors(pre, limit)


def above_in_tensors(pre: Float[Tensor, "rows d_sae"], limit: Float[Tensor, "#d_sae"]) -> Active:
    """`above`, the reference and the way of a GPU.

    Eight yes/no bytes are looked at as one word, which makes torch's slow search for non-zeros eight times
    shorter.
    """
    mask = pre > limit
    if mask.shape[1] % 8:
        flat = mask.view(-1).nonzero().squeeze(1)
    else:
        words = mask.view(-1).view(torch.int64).nonzero().squeeze(1)
        hits = mask.view(-1, 8)[words].nonzero()
        flat = words[hits[:, 0]] * 8 + hits[:, 1]
    rows = torch.div(flat, pre.shape[1], rounding_mode="floor")
    return Active(rows, flat - rows * pre.shape[1], pre.reshape(-1)[flat])


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


def strongest(values: Float[Tensor, "rows k"], indices: Int[Tensor, "rows k"]) -> Active:
    """Of the k largest of each row those that are positive, as columns."""
    rows, places = (values > 0).nonzero(as_tuple=True)
    return Active(rows, indices[rows, places], values[rows, places])
