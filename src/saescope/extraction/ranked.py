"""Per feature, the k rows of lowest priority number: one structure for strongest, sampled and silent examples.

Rows wait in a buffer and are merged into the kept ones a few times in a run; only rows that can still get in are
let into the buffer. The state is bounded by features × k, whatever the number of samples.
"""

import torch
from jaxtyping import Bool, Int
from torch import Tensor

Rows = dict[str, Tensor]
_OPEN = torch.iinfo(torch.int32).max


class Ranked:
    """Keeps, for each feature, the k rows with the smallest (priority, sample).

    A row is a feature, a priority in [0, 2^31), a sample id and any further columns; (feature, sample) is unique.
    """

    def __init__(self, d_sae: int, k: int, device: torch.device | str = "cpu") -> None:
        self.d_sae, self.k = d_sae, k
        self.kept: Rows = {}
        self.worst = torch.full((d_sae,), _OPEN, dtype=torch.int64, device=device)
        self._waiting: list[Rows] = []
        self._n_waiting = 0
        self._room = max(d_sae * k // 2, 1 << 16)

    def wanted(self, feature: Int[Tensor, "n"], priority: Int[Tensor, "n"]) -> Bool[Tensor, "n"]:
        """Rows that could still get in. Equal priorities stay in the running: the sample id decides later."""
        return priority <= self.worst[feature]

    def offer(self, rows: Rows) -> None:
        """Hand in rows; merge when enough are waiting."""
        n = len(rows["feature"])
        if n:
            self._waiting.append(rows)
            self._n_waiting += n
        if self._n_waiting >= self._room:
            self.settle()

    def settle(self) -> None:
        """Merge what waits into what is kept."""
        if not self._waiting:
            return
        parts = [self.kept, *self._waiting] if self.kept else self._waiting
        self._waiting, self._n_waiting = [], 0
        key = [torch.cat([part[name] for part in parts]) for name in ("feature", "priority", "sample")]
        order = ordered(*key)
        order = order[_rank(key[0][order]) < self.k]
        columns = list(parts[0])
        self.kept = {}
        for name in columns:
            self.kept[name] = torch.cat([part[name] for part in parts])[order]
            for part in parts:
                del part[name]
        self._close()

    def kept_rows(self, low: int = 0, high: int | None = None) -> Rows:
        """The rows kept so far of features low to high, ordered by (feature, priority, sample)."""
        self.settle()
        if not self.kept or (low == 0 and high is None):
            return self.kept
        ends = torch.tensor([low, self.d_sae if high is None else high], device=self.worst.device)
        start, end = torch.searchsorted(self.kept["feature"], ends.int()).tolist()
        return {name: column[start:end] for name, column in self.kept.items()} if end > start else {}

    def take(self, rows: Rows) -> None:
        """Take in rows as `kept_rows` gives them, in whatever number."""
        if rows:
            self.offer(dict(rows))

    def _close(self) -> None:
        """Note each full feature's worst kept priority."""
        feature = self.kept["feature"].long()
        count = torch.bincount(feature, minlength=self.d_sae)
        full = count >= self.k
        last = (count.cumsum(0) - 1)[full]
        self.worst[full] = self.kept["priority"][last].long()


def ordered(feature: Int[Tensor, "n"], priority: Int[Tensor, "n"], sample: Int[Tensor, "n"]) -> Int[Tensor, "n"]:
    """Row numbers in order of (feature, priority, sample)."""
    by_sample = torch.sort(sample, stable=True).indices
    key = (feature.long() << 32 | priority.long())[by_sample]
    return by_sample[torch.sort(key, stable=True).indices]


def _rank(feature: Int[Tensor, "n"]) -> Int[Tensor, "n"]:
    """Running number within each feature, features being sorted."""
    counts = torch.unique_consecutive(feature, return_counts=True)[1]
    first = torch.repeat_interleave(counts.cumsum(0) - counts, counts)
    return torch.arange(len(feature), device=feature.device) - first
