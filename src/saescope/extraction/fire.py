"""Which features fire on a text: one short pass, every feature."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..sae.base import Sae


@dataclass(frozen=True)
class Fired:
    """Features active on a text, strongest first, and where each is active."""

    features: list[int]
    positions: list[list[int]]
    """Ascending, for each feature."""
    values: list[list[float]]
    """The activation at each of them."""

    def activations(self, tokens: int) -> list[list[float]]:
        """One activation per token of each feature."""
        rows = []
        for positions, values in zip(self.positions, self.values, strict=True):
            row = [0.0] * tokens
            for position, value in zip(positions, values, strict=True):
                row[position] = value
            rows.append(row)
        return rows


@torch.inference_mode()
def fire(sae: Sae, x: Float[Tensor, "pos d_in"], counts: Int[Tensor, "pos"] | Tensor, limit: int) -> Fired:
    """The `limit` features with the largest activation at a token that counts.

    x: activations at the hookpoint; counts: which positions are valid (no feature is active at the others).
    """
    active = sae.active(x.float()[counts])
    position = counts.nonzero().squeeze(1)[active.rows]
    strongest = torch.zeros(sae.d_sae, device=x.device).scatter_reduce_(
        0, active.features, active.values.float(), "amax"
    )
    order = torch.sort(strongest, descending=True, stable=True)
    features = [i for i, value in zip(order.indices.tolist(), order.values.tolist(), strict=True) if value > 0][:limit]
    positions: dict[int, list[int]] = {feature: [] for feature in features}
    values: dict[int, list[float]] = {feature: [] for feature in features}
    by_position = torch.sort(position, stable=True).indices
    for feature, place, value in zip(
        active.features[by_position].tolist(),
        position[by_position].tolist(),
        active.values[by_position].float().tolist(),
        strict=True,
    ):
        if feature in positions and value > 0:
            positions[feature].append(place)
            values[feature].append(value)
    return Fired(features, list(positions.values()), list(values.values()))
