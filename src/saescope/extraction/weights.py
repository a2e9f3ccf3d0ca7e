"""What can be said of features from weights alone: the tokens each writes most and least, and its nearest features.

Logit lens: nostalgebraist 2020; for SAE features Bricken et al. 2023. A feature's decoder row goes through the
final norm's gain and the unembedding. These facts depend on no text, so they are worked out once for an SAE.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

TOKENS = 10
NEIGHBORS = 10
_TILE_CELLS = 1 << 25
"""Cells of one tile of features × vocabulary: 128 MiB."""


@dataclass(frozen=True)
class WeightFacts:
    """Facts of every feature, as arrays of [d_sae, 10] (fewer columns where there are fewer tokens or features)."""

    writes_most_ids: np.ndarray
    writes_most_logits: np.ndarray
    writes_least_ids: np.ndarray
    writes_least_logits: np.ndarray
    neighbor_ids: np.ndarray
    neighbor_cosines: np.ndarray

    def arrays(self) -> dict[str, np.ndarray]:
        return dict(vars(self))


@torch.inference_mode()
def weight_facts(
    decoder: Float[Tensor, "d_sae d_in"],
    unembedding: Float[Tensor, "vocabulary d_model"],
    gain: Float[Tensor, "d_model"] | None = None,
) -> Iterator[tuple[int, WeightFacts | None]]:
    """Yield (features done, None) as it goes and (d_sae, facts) at the end.

    `gain` is the final norm's weight. An SAE that does not write to the residual stream (d_in unlike d_model) has
    no written tokens: those arrays have no columns.
    """
    d_sae = len(decoder)
    decoder = decoder.float()
    unit = decoder / decoder.norm(dim=1, keepdim=True).clamp(min=1e-12)
    writes = decoder.shape[1] == unembedding.shape[1]
    directions = decoder * gain.float() if gain is not None and writes else decoder
    unembedding = unembedding.float()
    columns: dict[str, list[Tensor]] = {name: [] for name in WeightFacts.__dataclass_fields__}
    tile = max(1, _TILE_CELLS // max(len(unembedding), d_sae))
    for low in range(0, d_sae, tile):
        high = min(low + tile, d_sae)
        if writes:
            logits = directions[low:high] @ unembedding.T
            for name, largest in (("writes_most", True), ("writes_least", False)):
                values, ids = logits.topk(min(TOKENS, logits.shape[1]), largest=largest)
                columns[name + "_ids"].append(ids.int())
                columns[name + "_logits"].append(values)
        cosines = unit[low:high] @ unit.T
        cosines[torch.arange(high - low), torch.arange(low, high)] = -2.0
        values, ids = cosines.topk(min(NEIGHBORS, d_sae - 1))
        columns["neighbor_ids"].append(ids.int())
        columns["neighbor_cosines"].append(values)
        yield high, None
    yield d_sae, WeightFacts(**{name: _stack(parts, d_sae, name) for name, parts in columns.items()})


def _stack(parts: list[Tensor], d_sae: int, name: str) -> np.ndarray:
    if parts:
        return torch.cat(parts).cpu().numpy()
    return np.zeros((d_sae, 0), dtype=np.int32 if name.endswith("_ids") else np.float32)
