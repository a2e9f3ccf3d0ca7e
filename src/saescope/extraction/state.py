"""All that an extraction holds while it runs, for all features together.

    state(A ∪ B) = merge(state(A), state(B)), exactly

for any split of the samples: that one property gives batches, shards, resume and clusters the same answer.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from .groups import ActiveBatch, Groups, descending, group, top_positions, window_starts, windows
from .hashing import feature_keys, pair_hash, sample_keys
from .ranked import Ranked, Rows
from .spill import Spill
from .statistics import BINS, LOWEST_HALF_OCTAVE, Statistics

_SILENT_CELLS = 1 << 21
"""Cells (features × samples) of the silent-example search worked on at once: 16 MiB a buffer."""
_NEVER = 1 << 40
"""A priority that no row is let in with."""
_PIECE = 1 << 28
"""Bytes of a state that are copied at once, about: when it is saved, merged, or made into tables."""
_PARTS = ("top", "sampled", "silent")


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

    @property
    def heaps(self) -> tuple[tuple[int, int], ...]:
        """(rows of each feature, window) of strongest, sampled and silent examples."""
        return (self.top_k, self.window), (self.sampled, self.window), (self.silent, 0)

    def ranges(self, size: int = _PIECE) -> list[tuple[int, int]]:
        """The features cut into ranges (from, to) whose rows take about `size` bytes when all are there."""
        each = sum(k * (16 + 4 * window) for k, window in self.heaps) + 1
        step = max(1, size // each)
        return [(low, min(low + step, self.d_sae)) for low in range(0, self.d_sae, step)]


Apply = Callable[[], None]


@dataclass(frozen=True)
class StateBytes:
    """Bytes of a state by compiled loops, all rows being there; fewer are touched before."""

    memory: int
    """Statistics, keys, and numbers for each feature that a batch needs: always in memory."""
    payload: int
    """Windows and positions of the rows kept: in memory, or in a file where a `Spill` says so."""

    @property
    def total(self) -> int:
        return self.memory + self.payload


def state_bytes(settings: Settings) -> StateBytes:
    """What a state takes, worked out without making one; whatever the number of samples.

    At top_k 100 and window 32 that is 23.9 kB a feature: 16.4 kB strongest rows, 6.6 kB sampled ones.
    """
    from .heaps import Heaps
    from .kernels import BATCH_BYTES

    sizes = [Heaps.bytes(settings.d_sae, k, window) for k, window in settings.heaps]
    numbers = settings.d_sae * (Statistics.BYTES + BATCH_BYTES + 8)  # 8: the hash's key
    return StateBytes(numbers + sum(keys for keys, _ in sizes), sum(payload for _, payload in sizes))


class ExtractionState:
    """Statistics, strongest examples, and a hash-chosen few of the active and non-active samples.

    `compiled` chooses between compiled loops (CPU only, the default there) and tensors; the answer is the same.
    `spill` says where compiled loops put what memory has no room for.
    """

    def __init__(
        self,
        settings: Settings,
        device: torch.device | str = "cpu",
        *,
        compiled: bool | None = None,
        spill: Spill | None = None,
    ) -> None:
        self.settings = settings
        self.tokens = 0
        self.samples = 0
        self.statistics = Statistics(settings.d_sae, device)
        self.compiled = torch.device(device).type == "cpu" if compiled is None else compiled
        if self.compiled:
            from .heaps import Heaps

            keepers = [Heaps(settings.d_sae, *shape, spill) for shape in settings.heaps]
        else:
            keepers = [Ranked(settings.d_sae, k, device) for k, _ in settings.heaps]
        self.top, self.sampled, self.silent = keepers
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
            *(top.arrays, sampled.arrays, silent.arrays),
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
        for low, high in self.settings.ranges():
            for part in _PARTS:
                getattr(self, part).take(getattr(other, part).kept_rows(low, high))

    # ---- to and from files of tensors, for stopping and going on ----

    def pieces(self) -> Iterator[dict[str, Tensor]]:
        """Everything as named tensors: what is counted, then the rows of one range of features after the other."""
        counted = {f"statistics.{name}": column for name, column in self.statistics.columns.items()}
        yield counted | {"counts": torch.tensor([self.tokens, self.samples])}
        for low, high in self.settings.ranges():
            yield {
                f"{part}.{name}": column
                for part in _PARTS
                for name, column in getattr(self, part).kept_rows(low, high).items()
            }

    def restore(self, pieces: Iterable[dict[str, Tensor]]) -> None:
        """Become the state that `pieces` described; this one has taken in nothing yet."""
        for piece in pieces:
            parts: dict[str, Rows] = {part: {} for part in _PARTS}
            for key, column in piece.items():
                part, _, name = key.partition(".")
                if part == "counts":
                    self.tokens, self.samples = column.tolist()
                elif part == "statistics":
                    self.statistics.columns[name].copy_(column)
                else:
                    parts[part][name] = column.to(self.statistics.columns["max"].device)
            for part, rows in parts.items():
                getattr(self, part).take(rows)
