"""From the non-zero activations of a few samples to one group per (feature, sample).

Everything an extraction keeps is a function of these groups; a single sort makes them, for all features at once.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

TOP_POSITIONS = 5
_VALUE_BITS = 0x7FFFFFFF


@dataclass(frozen=True)
class ActiveBatch:
    """The non-zero activations of a few whole samples, ordered by sample, then position."""

    samples: Int[Tensor, "samples"]
    """Sample ids, ascending."""
    lengths: Int[Tensor, "samples"]
    """Tokens in each sample, padding left out."""
    valid_tokens: Int[Tensor, "samples"]
    """Valid tokens in each, active or not."""
    sample: Int[Tensor, "active"]
    """Index into `samples` of each activation."""
    position: Int[Tensor, "active"]
    feature: Int[Tensor, "active"]
    value: Float[Tensor, "active"]
    """Activations, > 0, float32."""

    def __len__(self) -> int:
        return len(self.samples)

    def select(self, start: int, stop: int) -> "ActiveBatch":
        """Samples start..stop of this batch."""
        low, high = torch.searchsorted(self.sample, torch.tensor([start, stop], device=self.sample.device)).tolist()
        return ActiveBatch(
            self.samples[start:stop],
            self.lengths[start:stop],
            self.valid_tokens[start:stop],
            self.sample[low:high] - start,
            self.position[low:high],
            self.feature[low:high],
            self.value[low:high],
        )


@dataclass(frozen=True)
class Groups:
    """Activations sorted by (feature, sample, value descending, position), and where each group lies."""

    feature: Int[Tensor, "groups"]
    sample: Int[Tensor, "groups"]
    """Index into the batch's samples."""
    start: Int[Tensor, "groups"]
    """First activation of the group: its largest, at its earliest position."""
    size: Int[Tensor, "groups"]
    position: Int[Tensor, "active"]
    value: Float[Tensor, "active"]
    of_feature: Int[Tensor, "active"]
    """Feature of each activation."""

    @property
    def max(self) -> Float[Tensor, "groups"]:
        return self.value[self.start]

    @property
    def peak(self) -> Int[Tensor, "groups"]:
        return self.position[self.start]


def descending(value: Float[Tensor, "*shape"]) -> Int[Tensor, "*shape"]:
    """Non-negative floats as 31-bit integers that rise where the float falls: bit patterns keep the order."""
    return _VALUE_BITS - value.view(torch.int32).long()


def group(batch: ActiveBatch) -> Groups:
    """Sort a batch's activations into groups. Needs features × samples below 2^31."""
    n = max(len(batch), 1)
    key = (batch.feature.long() * n).add_(batch.sample).bitwise_left_shift_(32).bitwise_or_(descending(batch.value))
    key, order = torch.sort(key, stable=True)
    pair, size = torch.unique_consecutive(key.bitwise_right_shift_(32), return_counts=True)
    feature = pair // n
    return Groups(
        feature=feature,
        sample=pair - feature * n,
        start=size.cumsum(0) - size,
        size=size,
        position=batch.position[order],
        value=batch.value[order],
        of_feature=batch.feature[order],
    )


def top_positions(groups: Groups, chosen: Int[Tensor, "chosen"]) -> Int[Tensor, "chosen top"]:
    """The largest positions of some groups (value descending, position ascending), filled up with -1."""
    rank = torch.arange(TOP_POSITIONS, device=chosen.device)
    inside = rank < groups.size[chosen, None]
    index = (groups.start[chosen, None] + rank).where(inside, 0)
    if not len(groups.position):
        return torch.full(inside.shape, -1, dtype=torch.int32, device=chosen.device)
    return groups.position[index].where(inside, -1).int()


def window_starts(
    peak: Int[Tensor, "chosen"], length: Int[Tensor, "chosen"], first: int, window: int
) -> Int[Tensor, "chosen"]:
    """First position of a window centred on the peak and kept inside [first, length)."""
    return (peak - window // 2).minimum(length - window).clamp(min=first).minimum(peak)


def windows(
    groups: Groups, chosen: Int[Tensor, "chosen"], starts: Int[Tensor, "chosen"], window: int
) -> Float[Tensor, "chosen window"]:
    """Activations of some groups in a window of positions each, zero where the feature is silent."""
    size = groups.size[chosen]
    row = torch.repeat_interleave(torch.arange(len(chosen), device=chosen.device), size)
    first = groups.start[chosen] - (size.cumsum(0) - size)
    element = torch.arange(len(row), device=chosen.device) + first[row]
    column = groups.position[element].long() - starts[row]
    inside = (column >= 0) & (column < window)
    out = torch.zeros(len(chosen), window, device=chosen.device)
    out[row[inside], column[inside]] = groups.value[element[inside]]
    return out
