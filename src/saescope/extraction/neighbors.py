"""The features whose decoder rows point most nearly the same way; the same to the last bit however they are found.

Candidates come from float32 products, with a margin for all that rounding may have done to them. Their cosines are
then worked out in float64, one dot product at a time. Loads no torch: features are looked at without it.
"""

import math

import numpy as np

NEIGHBORS = 10


def margin(d_in: int) -> float:
    """How much rounding may have done to the difference of two float32 cosines, whatever the order of their sums.

    λ·√n·u for each, λ = 8, holds but for a chance of 1e-10 (Higham & Mary 2019, theorem 2.4).
    """
    return 2 * 8 * math.sqrt(d_in) * 2.0**-24


def nearest(decoder: np.ndarray, norms: np.ndarray, feature: int) -> tuple[np.ndarray, np.ndarray]:
    """(ids, cosines) of the nearest features of one, strongest first; of equals the lower index first.

    decoder: float32 [d_sae, d_in], which may be memory-mapped: it is read once, in order; norms: of its rows.
    """
    count = min(NEIGHBORS, len(decoder) - 1)
    if count <= 0:
        return np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.float32)
    direction = decoder[feature] / max(norms[feature], 1e-12)
    near = decoder @ direction / np.maximum(norms, 1e-12)
    near[feature] = -2.0
    edge = np.partition(near, -count)[-count] - margin(decoder.shape[1])
    ids, cosines = strongest(decoder, np.array([feature]), np.flatnonzero(near >= edge)[None])
    return ids[0], cosines[0]


def strongest(decoder: np.ndarray, features: np.ndarray, candidates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(ids, cosines) [n, NEIGHBORS] of the best of the candidates [n, any] of some features [n]."""
    candidates = np.sort(candidates, axis=1)
    own = decoder[features].astype(np.float64)[:, None]
    others = decoder[candidates].astype(np.float64)
    sizes = np.sqrt((own * own).sum(-1)) * np.sqrt((others * others).sum(-1))
    cosines = ((own * others).sum(-1) / np.maximum(sizes, 1e-24)).astype(np.float32)
    order = np.argsort(-cosines, axis=1, kind="stable")[:, : min(NEIGHBORS, len(decoder) - 1)]
    return np.take_along_axis(candidates, order, 1).astype(np.int32), np.take_along_axis(cosines, order, 1)
