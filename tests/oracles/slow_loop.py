"""The loop that the project began from: sample by sample, feature by feature, a heap for each feature.

It is the reference that the engine must equal, ties included. It keeps to contract.md word for word and knows
nothing of the engine, except for the hash that chooses strata, which it takes as a plain function.
"""

import heapq
from dataclasses import dataclass, field

import numpy as np


@dataclass
class SlowFeature:
    """What the loop knows about one feature."""

    heap: list = field(default_factory=list)
    active_tokens: int = 0
    active_samples: int = 0
    max: float = 0.0
    total: float = 0.0
    squares: float = 0.0

    def examples(self) -> list[dict]:
        return [example for *_, example in sorted(self.heap, key=lambda item: (-item[0], -item[1]))]


def slow_loop(activations: np.ndarray, valid: np.ndarray, lengths: np.ndarray, top_k: int, window: int, first: int):
    """Every feature of dense activations [samples, positions, d_sae]: a list of SlowFeature.

    `valid` [samples, positions] says which positions count; a window lies inside [first, length).
    """
    features = [SlowFeature() for _ in range(activations.shape[2])]
    for sample in range(activations.shape[0]):
        for index, feature in enumerate(features):
            a = np.where(valid[sample], activations[sample, :, index], 0.0)
            active = np.flatnonzero(a > 0)
            if not len(active):
                continue
            feature.active_tokens += len(active)
            feature.active_samples += 1
            feature.total += float(a[active].astype(np.float64).sum())
            feature.squares += float((a[active].astype(np.float64) ** 2).sum())
            order = sorted(active.tolist(), key=lambda position: (-a[position], position))
            peak = order[0]
            feature.max = max(feature.max, float(a[peak]))
            start = min(peak, max(first, min(peak - window // 2, int(lengths[sample]) - window)))
            example = {
                "sample": sample,
                "peak": peak,
                "activation": float(a[peak]),
                "start": start,
                "top_positions": order[:5],
                "activations": a[start : min(start + window, int(lengths[sample]))].tolist(),
            }
            # Equal activations: the smaller sample id stays, so the heap's smallest is the larger id.
            item = (float(a[peak]), -sample, example)
            if len(feature.heap) < top_k:
                heapq.heappush(feature.heap, item)
            elif item[:2] > feature.heap[0][:2]:
                heapq.heapreplace(feature.heap, item)
    return features
