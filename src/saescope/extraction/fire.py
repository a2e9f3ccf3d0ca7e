"""Which features fire on a text: one short pass, every feature."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..sae.base import Sae


@dataclass(frozen=True)
class Fired:
    """Features active on a text, strongest first, with one activation per token."""

    features: list[int]
    activations: list[list[float]]


@torch.inference_mode()
def fire(sae: Sae, x: Float[Tensor, "pos d_in"], counts: Int[Tensor, "pos"] | Tensor, limit: int) -> Fired:
    """The `limit` features with the largest activation at a token that counts.

    x: activations at the hookpoint; counts: which positions are valid (the others show 0).
    """
    active = sae.active(x.float()[counts])
    position = counts.nonzero().squeeze(1)[active.rows]
    strongest = torch.zeros(sae.d_sae, device=x.device).scatter_reduce_(
        0, active.features, active.values.float(), "amax"
    )
    order = torch.sort(strongest, descending=True, stable=True)
    features = [i for i, value in zip(order.indices.tolist(), order.values.tolist(), strict=True) if value > 0][:limit]
    activations = []
    for feature in features:
        row = torch.zeros(len(x), device=x.device)
        here = active.features == feature
        row[position[here]] = active.values[here].float()
        activations.append(row.tolist())
    return Fired(features, activations)
