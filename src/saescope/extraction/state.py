"""All that an extraction holds while it runs, for all features together.

    state(A ∪ B) = merge(state(A), state(B)), exactly

for any split of the samples: that one property gives batches, shards, resume and clusters the same answer.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Int
from torch import Tensor

from .groups import ActiveBatch, Groups, descending, group, top_positions, window_starts, windows
from .hashing import feature_keys, pair_hash, sample_keys
from .ranked import Ranked, Rows
from .statistics import BINS, LOWEST_HALF_OCTAVE, Statistics

if TYPE_CHECKING:
    pass

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


Apply = Callable[[], None]


class ExtractionState:
    """Statistics, strongest examples, and a hash-chosen few of the active and non-active samples.

    `compiled` chooses between compiled loops (CPU only, the default there) and tensors; the answer is the same.
    """

    def __init__(self, settings: Settings, device: torch.device | str = "cpu", *, compiled: bool | None = None) -> None:
        self.settings = settings
        self.tokens = 0
        self.samples = 0
        self.statistics = Statistics(settings.d_sae, device)
        self.compiled = torch.device(device).type == "cpu" if compiled is None else compiled
        if self.compiled:
            from .heaps import Heaps

            self.top: Ranked | Heaps = Heaps(settings.d_sae, settings.top_k, settings.window)
            self.sampled: Ranked | Heaps = Heaps(settings.d_sae, settings.sampled, settings.window)
            self.silent: Ranked | Heaps = Heaps(settings.d_sae, settings.silent, 0)
        else:
            self.top = Ranked(settings.d_sae, settings.top_k, device)
            self.sampled = Ranked(settings.d_sae, settings.sampled, device)
            self.silent = Ranked(settings.d_sae, settings.silent, device)
        self._feature_keys = feature_keys(settings.seed, torch.arange(settings.d_sae, device=device))

    def update(self, batch: ActiveBatch) -> None:
        """Take in a few whole samples; none may come twice."""
        self.measure(batch)()

    def measure(self, batch: ActiveBatch) -> Apply:
        """Work out what a batch adds, changing nothing, and give what adds it.

        What needs memory happens here and can be tried again with a smaller batch.
        """
        apply = self._compiled(batch) if self.compiled else self._tensors(batch)
        samples, tokens = len(batch), int(batch.valid_tokens.sum())

        def count_and_apply() -> None:
            self.samples += samples
            self.tokens += tokens
            apply()

        return count_and_apply

    def _compiled(self, batch: ActiveBatch) -> Apply:
        """By compiled loops."""
        from . import kernels

        heaps = (self.top, self.sampled, self.silent)
        top, sampled, silent = (heap for heap in heaps if not isinstance(heap, Ranked))
        columns = {name: column.numpy() for name, column in self.statistics.columns.items()}
        value = batch.value.contiguous()
        offsets = torch.searchsorted(batch.sample.contiguous(), torch.arange(len(batch) + 1)).numpy()
        arguments = (
            batch.samples.long().numpy(),
            batch.lengths.long().numpy(),
            offsets,
            batch.position.int().numpy(),
            batch.feature.int().numpy(),
            value.numpy(),
            value.view(torch.int32).numpy(),
            self.settings.first,
            self._feature_keys.numpy(),
            sample_keys(batch.samples).numpy(),
            *(columns[name] for name in ("active_tokens", "active_samples", "max", "histogram")),
            *(columns[name] for name in ("sum", "sum_fraction", "square", "square_fraction")),
            *(top.heap, top.payload, sampled.heap, sampled.payload, silent.heap),
            LOWEST_HALF_OCTAVE,
            BINS,
            torch.get_num_threads(),
        )
        return lambda: kernels.reduce_batch(*arguments)

    def _tensors(self, batch: ActiveBatch) -> Apply:
        """By tensors, on whatever device they are."""
        groups = group(batch)
        ids = batch.samples.long()[groups.sample]
        offers: list[tuple[Ranked, Rows]] = []
        chance = pair_hash(self._feature_keys[groups.feature], sample_keys(ids))
        for ranked, priority in ((self.top, descending(groups.max)), (self.sampled, chance)):
            assert isinstance(ranked, Ranked)
            chosen = ranked.wanted(groups.feature, priority).nonzero().squeeze(1)
            if len(chosen):
                offers.append((ranked, self._rows(batch, groups, chosen, priority, ids)))
        silent = self.silent
        assert isinstance(silent, Ranked)
        offers += [(silent, rows) for rows in self._silent_rows(silent, groups, batch.samples.long())]
        measured = self.statistics.measure(groups)

        def apply() -> None:
            self.statistics.apply(measured)
            for ranked, rows in offers:
                ranked.offer(rows)

        return apply

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

    def _silent_rows(self, silent: Ranked, groups: Groups, samples: Int[Tensor, "samples"]) -> Iterator[Rows]:
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
            feature, sample = (chance <= silent.worst[low:high, None]).nonzero(as_tuple=True)
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
        self.top.take(other.top.kept_rows())
        self.sampled.take(other.sampled.kept_rows())
        self.silent.take(other.silent.kept_rows())

    # ---- to and from a file of tensors, for stopping and going on ----

    def tensors(self) -> dict[str, Tensor]:
        """Everything as named tensors."""
        named = {f"statistics.{name}": column for name, column in self.statistics.columns.items()}
        for part in ("top", "sampled", "silent"):
            named |= {f"{part}.{name}": column for name, column in getattr(self, part).kept_rows().items()}
        named["counts"] = torch.tensor([self.tokens, self.samples])
        return named

    @classmethod
    def from_tensors(
        cls, settings: Settings, named: dict[str, Tensor], device: str = "cpu", *, compiled: bool | None = None
    ) -> "ExtractionState":
        """The state that `tensors` described."""
        state = cls(settings, device, compiled=compiled)
        state.tokens, state.samples = named["counts"].tolist()
        parts: dict[str, Rows] = {"top": {}, "sampled": {}, "silent": {}}
        for key, column in named.items():
            part, _, name = key.partition(".")
            if part == "statistics":
                state.statistics.columns[name].copy_(column)
            elif name:
                parts[part][name] = column.to(device)
        for part, rows in parts.items():
            getattr(state, part).take(rows)
        return state
