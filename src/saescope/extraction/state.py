"""All that an extraction holds while it runs, for all features together.

    state(A ∪ B) = merge(state(A), state(B)), exactly

for any split of the samples: that one property gives batches, shards, resume and clusters the same answer.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from .groups import ActiveBatch, Groups, descending, group, top_positions, window_starts, windows
from .hashing import feature_keys, pair_hash, sample_keys
from .ranked import Ranked, Rows
from .statistics import Measured, Statistics

_SILENT_CELLS = 1 << 21
"""Cells (features × samples) of the silent-example search worked on at once: 16 MiB a buffer."""
_NEVER = 1 << 40
"""A priority that no row is let in with."""


@dataclass(frozen=True)
class Settings:
    """What decides an extraction's answer, besides the data."""

    d_sae: int
    top_k: int = 100
    window: int = 32
    seed: int = 0
    first: int = 1
    """First position that can be valid: 1, or 0 when special tokens count."""
    sampled: int = 40
    """Active samples kept per feature by hash, for the quantile strata."""
    silent: int = 20
    """Non-active samples kept per feature by hash."""


@dataclass(frozen=True)
class Update:
    """What one batch adds to a state."""

    samples: int
    tokens: int
    statistics: Measured
    offers: list[tuple[Ranked, Rows]]


class ExtractionState:
    """Statistics, strongest examples, and a hash-chosen few of the active and non-active samples."""

    def __init__(self, settings: Settings, device: torch.device | str = "cpu") -> None:
        self.settings = settings
        self.tokens = 0
        self.samples = 0
        self.statistics = Statistics(settings.d_sae, device)
        self.top = Ranked(settings.d_sae, settings.top_k, device)
        self.sampled = Ranked(settings.d_sae, settings.sampled, device)
        self.silent = Ranked(settings.d_sae, settings.silent, device)
        self._feature_keys = feature_keys(settings.seed, torch.arange(settings.d_sae, device=device))

    def update(self, batch: ActiveBatch) -> None:
        """Take in a few whole samples; none may come twice."""
        self.apply(self.measure(batch))

    def measure(self, batch: ActiveBatch) -> Update:
        """Work out what a batch adds, changing nothing: what needs memory happens here and can be tried again."""
        groups = group(batch)
        ids = batch.samples.long()[groups.sample]
        offers: list[tuple[Ranked, Rows]] = []
        chance = pair_hash(self._feature_keys[groups.feature], sample_keys(ids))
        for ranked, priority in ((self.top, descending(groups.max)), (self.sampled, chance)):
            chosen = ranked.wanted(groups.feature, priority).nonzero().squeeze(1)
            if len(chosen):
                offers.append((ranked, self._rows(batch, groups, chosen, priority, ids)))
        offers += [(self.silent, rows) for rows in self._silent_rows(groups, batch.samples.long())]
        return Update(len(batch), int(batch.valid_tokens.sum()), self.statistics.measure(groups), offers)

    def apply(self, update: Update) -> None:
        """Add what was measured."""
        self.samples += update.samples
        self.tokens += update.tokens
        self.statistics.apply(update.statistics)
        for ranked, rows in update.offers:
            ranked.offer(rows)

    def _rows(
        self, batch: ActiveBatch, groups: Groups, chosen: Int[Tensor, "n"], priority: Tensor, ids: Tensor
    ) -> Rows:
        peak = groups.peak[chosen].long()
        length = batch.lengths[groups.sample[chosen]].long()
        start = window_starts(peak, length, self.settings.first, self.settings.window)
        return {
            "feature": groups.feature[chosen].int(),
            "priority": priority[chosen].int(),
            "sample": ids[chosen],
            "activation": groups.max[chosen],
            "peak": peak.int(),
            "start": start.int(),
            "top_positions": top_positions(groups, chosen),
            "window": windows(groups, chosen, start, self.settings.window),
        }

    def _silent_rows(self, groups: Groups, samples: Int[Tensor, "samples"]) -> Iterator[Rows]:
        """The samples in which a feature is not active, feature tile by feature tile."""
        if not len(samples) or not self.settings.silent:
            return
        keys = sample_keys(samples)
        tile = max(1, _SILENT_CELLS // len(samples))
        lows = range(0, self.settings.d_sae, tile)
        bounds = torch.tensor([*lows, self.settings.d_sae], device=samples.device)
        edges = torch.searchsorted(groups.feature, bounds).tolist()
        for i, low in enumerate(lows):
            high = min(low + tile, self.settings.d_sae)
            chance = pair_hash(self._feature_keys[low:high, None], keys)
            here = slice(edges[i], edges[i + 1])
            chance[groups.feature[here] - low, groups.sample[here]] = _NEVER
            feature, sample = (chance <= self.silent.worst[low:high, None]).nonzero(as_tuple=True)
            if len(feature):
                yield {
                    "feature": (feature + low).int(),
                    "priority": chance[feature, sample].int(),
                    "sample": samples[sample],
                }

    def merge(self, other: "ExtractionState") -> None:
        """Take in the state of other samples."""
        if self.settings != other.settings:
            raise ValueError(f"states of different settings cannot merge: {self.settings} and {other.settings}")
        self.tokens += other.tokens
        self.samples += other.samples
        self.statistics.merge(other.statistics)
        self.top.merge(other.top)
        self.sampled.merge(other.sampled)
        self.silent.merge(other.silent)

    def settle(self) -> None:
        """Merge all that waits in buffers."""
        for ranked in (self.top, self.sampled, self.silent):
            ranked.settle()

    # ---- to and from a file of tensors, for stopping and going on ----

    def tensors(self) -> dict[str, Tensor]:
        """Everything as named tensors."""
        self.settle()
        named = {f"statistics.{name}": column for name, column in self.statistics.columns.items()}
        for part in ("top", "sampled", "silent"):
            named |= {f"{part}.{name}": column for name, column in getattr(self, part).kept.items()}
        named["counts"] = torch.tensor([self.tokens, self.samples])
        return named

    @classmethod
    def from_tensors(cls, settings: Settings, named: dict[str, Tensor], device: str = "cpu") -> "ExtractionState":
        """The state that `tensors` described."""
        state = cls(settings, device)
        state.tokens, state.samples = named["counts"].tolist()
        for key, column in named.items():
            part, _, name = key.partition(".")
            if part == "statistics":
                state.statistics.columns[name] = column.to(device)
            elif name:
                getattr(state, part).kept[name] = column.to(device)
        for ranked in (state.top, state.sampled, state.silent):
            if ranked.kept:
                ranked._close()
        return state
