"""What can be said of features from weights alone: the tokens each writes most and least, and its nearest features.

Logit lens: nostalgebraist 2020; for SAE features Bricken et al. 2023. A feature's decoder row goes through the
final norm's gain and the unembedding. These facts depend on no text, so they are worked out once for an SAE.

What they cost, in operations (a multiplication and an addition count as two): tokens 2 · d_sae · vocabulary · d_in,
which is what encoding as many tokens costs as the vocabulary has, so they are always worked out; neighbours
d_sae² · (d_in + 350), each pair of features being multiplied once and its cosine looked at from both sides, which at
a million features of 576 numbers is 0.9 PFLOP. Beyond NEIGHBOR_OPERATIONS the neighbours have no columns:
`neighbors.nearest` finds those of the feature looked at.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from .neighbors import NEIGHBORS, margin, nearest, strongest

TOKENS = 10
NEIGHBOR_OPERATIONS = 5e13
"""Five minutes at 160 GFLOP/s; 230,000 features of 576 numbers, 106,000 of 4,096."""
_LOOKING = 350
"""Operations that looking twice at one cosine takes the time of: a tile's `topk` both ways against its product."""
_CANDIDATES = 16
_TILE_CELLS = 1 << 25
"""Cells of one tile of features × vocabulary: 128 MiB."""
_TILE = 2048
"""Features on either side of one tile of cosines: 16 MiB."""
_RECHECKED = 8
"""Features whose candidates are looked at again at once, so that they stay in the cache."""


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


def token_operations(d_sae: int, d_in: int, vocabulary: int) -> float:
    """Operations that the tokens features write cost."""
    return 2.0 * d_sae * vocabulary * d_in


def neighbor_operations(d_sae: int, d_in: int) -> float:
    """Operations that the neighbours of every feature cost; beyond NEIGHBOR_OPERATIONS they are left out."""
    return float(d_sae) ** 2 * (d_in + _LOOKING)


@torch.inference_mode()
def weight_facts(
    decoder: Float[Tensor, "d_sae d_in"],
    unembedding: Float[Tensor, "vocabulary d_model"],
    gain: Float[Tensor, "d_model"] | None = None,
) -> Iterator[tuple[int, WeightFacts | None]]:
    """Yield (work done, counted in features, None) as it goes and (d_sae, facts) at the end.

    `gain` is the final norm's weight. An SAE that does not write to the residual stream (d_in unlike d_model) has
    no written tokens: those arrays have no columns.
    """
    d_sae, d_in = decoder.shape
    decoder = decoder.float()
    tokens = token_operations(d_sae, d_in, len(unembedding)) if d_in == unembedding.shape[1] else 0.0
    pairs = neighbor_operations(d_sae, d_in)
    pairs = pairs if pairs <= NEIGHBOR_OPERATIONS else 0.0
    columns = {name: _no_columns(d_sae, name) for name in WeightFacts.__dataclass_fields__}
    if tokens:
        for share in _written(decoder, unembedding.float(), gain, columns):
            yield int(d_sae * share * tokens / (tokens + pairs)), None
    if pairs:
        for share in _neighbors(decoder, columns):
            yield int(d_sae * (tokens + share * pairs) / (tokens + pairs)), None
    yield d_sae, WeightFacts(**columns)


def _no_columns(d_sae: int, name: str) -> np.ndarray:
    return np.zeros((d_sae, 0), dtype=np.int32 if name.endswith("_ids") else np.float32)


def _written(
    decoder: Tensor, unembedding: Tensor, gain: Tensor | None, columns: dict[str, np.ndarray]
) -> Iterator[float]:
    """The tokens whose logits each feature raises and lowers most; yields the share done."""
    d_sae, count = len(decoder), min(TOKENS, len(unembedding))
    for name in ("writes_most", "writes_least"):
        columns[f"{name}_ids"] = np.empty((d_sae, count), dtype=np.int32)
        columns[f"{name}_logits"] = np.empty((d_sae, count), dtype=np.float32)
    step = max(1, _TILE_CELLS // len(unembedding))
    buffer = decoder.new_empty(min(step, d_sae), len(unembedding))
    for low in range(0, d_sae, step):
        rows = decoder[low : low + step]
        rows = rows * gain.float() if gain is not None else rows
        logits = torch.mm(rows, unembedding.T, out=buffer[: len(rows)])
        for name, largest in (("writes_most", True), ("writes_least", False)):
            values, ids = logits.topk(count, largest=largest)
            columns[f"{name}_ids"][low : low + step] = ids.cpu().numpy()
            columns[f"{name}_logits"][low : low + step] = values.cpu().numpy()
        yield min(1.0, (low + step) / d_sae)


def _neighbors(decoder: Tensor, columns: dict[str, np.ndarray]) -> Iterator[float]:
    """The nearest features of each: candidates tile by tile, then their exact cosines; yields the share done."""
    d_sae, count = len(decoder), min(_CANDIDATES, len(decoder) - 1)
    values = decoder.new_full((d_sae, count), -2.0)
    ids = torch.zeros(d_sae, count, dtype=torch.int32, device=decoder.device)
    norms = decoder.norm(dim=1)
    units = [
        rows / norm[:, None].clamp(min=1e-12)
        for rows, norm in zip(decoder.split(_TILE), norms.split(_TILE), strict=True)
    ]
    for number, own in enumerate(units):
        low = number * _TILE
        here = slice(low, low + len(own))
        for start, others in zip(range(low, d_sae, _TILE), units[number:], strict=True):
            cosines = own @ others.T
            if start == low:
                cosines.fill_diagonal_(-2.0)
            else:
                there = slice(start, start + len(others))
                _keep(cosines.T.contiguous(), low, values[there], ids[there])
            _keep(cosines, start, values[here], ids[here])
        yield 1 - (1 - min(1.0, (low + _TILE) / d_sae)) ** 2
    columns["neighbor_ids"], columns["neighbor_cosines"] = _rechecked(
        decoder.cpu().numpy(), norms.cpu().numpy(), values.cpu().numpy(), ids.cpu().numpy()
    )


def _keep(cosines: Float[Tensor, "n m"], first: int, values: Float[Tensor, "n k"], ids: Int[Tensor, "n k"]) -> None:
    """Take into the k best of n features what is better among m others, which are those from `first` on."""
    found, where = cosines.topk(min(values.shape[1], cosines.shape[1]))
    both, named = torch.cat([values, found], dim=1), torch.cat([ids, where.int() + first], dim=1)
    best, order = both.topk(values.shape[1])
    values.copy_(best)
    ids.copy_(named.gather(1, order))


def _rechecked(
    decoder: np.ndarray, norms: np.ndarray, values: np.ndarray, ids: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The best of each feature's candidates; where one that was left out may be as near, of all features."""
    count = min(NEIGHBORS, len(decoder) - 1)
    near, cosines = np.zeros((len(decoder), count), np.int32), np.zeros((len(decoder), count), np.float32)
    for low in range(0, len(decoder), _RECHECKED):
        part = slice(low, min(low + _RECHECKED, len(decoder)))
        near[part], cosines[part] = strongest(decoder, np.arange(part.start, part.stop), ids[part])
    if 0 < ids.shape[1] < len(decoder) - 1:
        unsure = values[:, -1] >= values[:, count - 1] - margin(decoder.shape[1])
        for feature in np.flatnonzero(unsure):
            near[feature], cosines[feature] = nearest(decoder, norms, int(feature))
    return near, cosines
