"""The two extractions that the project began from, for comparison: a loop over features, and its first vectorization.

Both are given a dense tensor of every feature at every position, and keep for every feature the strongest samples with
their five strongest positions. Neither keeps windows, counts, histograms or quantile examples.
"""

import heapq

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

TOP_POSITIONS = 5


class SequentialLoop:
    """Sample by sample, feature by feature: a maximum, a sort and a heap for each."""

    def __init__(self, d_sae: int, top_k: int) -> None:
        self.top_k = top_k
        self.heaps: list[list[tuple[float, int, list[int]]]] = [[] for _ in range(d_sae)]

    def take(self, samples: Int[Tensor, "batch"], features: Float[Tensor, "batch pos d_sae"]) -> None:
        for sample, dense in zip(samples.tolist(), features.numpy(), strict=True):
            for index, heap in enumerate(self.heaps):
                activations = dense[:, index]
                largest = float(activations.max())
                positions = np.argsort(activations)[-TOP_POSITIONS:][::-1].tolist()
                if largest <= 0:
                    continue
                row = (largest, -sample, positions)
                if len(heap) < self.top_k:
                    heapq.heappush(heap, row)
                elif row > heap[0]:
                    heapq.heapreplace(heap, row)

    def strongest(self, feature: int) -> list[tuple[float, int]]:
        """Activation and sample of what was kept, strongest first."""
        return [(activation, -sample) for activation, sample, _ in sorted(self.heaps[feature], reverse=True)]


class VectorizedSketch:
    """All features of a batch at once: a dense maximum, a dense top five, one merge by top-k of both."""

    def __init__(self, d_sae: int, top_k: int) -> None:
        self.activations = torch.full((top_k, d_sae), -1.0)
        self.samples = torch.full((top_k, d_sae), -1)
        self.positions = torch.full((top_k, TOP_POSITIONS, d_sae), -1)

    def take(self, samples: Int[Tensor, "batch"], features: Float[Tensor, "batch pos d_sae"]) -> None:
        largest = features.amax(1)
        positions = features.topk(min(TOP_POSITIONS, features.shape[1]), dim=1).indices
        activations = torch.cat([self.activations, torch.where(largest > 0, largest, -1.0)])
        chosen = activations.topk(len(self.activations), dim=0)
        all_samples = torch.cat([self.samples, samples[:, None].expand_as(largest)])
        all_positions = torch.cat([self.positions, positions])
        self.activations = chosen.values
        self.samples = all_samples.gather(0, chosen.indices)
        self.positions = all_positions.gather(0, chosen.indices[:, None].expand(-1, TOP_POSITIONS, -1))

    def strongest(self, feature: int) -> list[tuple[float, int]]:
        """Activation and sample of what was kept, strongest first."""
        pairs = zip(self.activations[:, feature].tolist(), self.samples[:, feature].tolist(), strict=True)
        return [(activation, sample) for activation, sample in pairs if activation > 0]
