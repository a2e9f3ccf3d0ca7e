"""Activations of a dataset's rows, from the model or from the cache: what trainings are fed with."""

import time
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ..data.tokens import TokenStore
from ..extraction.sweep import block_samples
from ..models.language_model import LanguageModel
from ..records import Progress
from .activation_cache import ActivationCache
from .context import Tell


@dataclass
class Reading:
    """Turns rows into activations at some hookpoints, side by side, and says how far it has come."""

    model: LanguageModel
    rows: TokenStore
    hookpoints: tuple[str, ...]
    """Single hookpoints, each once."""
    include_special: bool
    tell: Tell
    caches: dict[str, ActivationCache] = field(default_factory=dict)
    """Of every hookpoint, or of none."""
    tokens: int = 0
    """Activations that the model was run for."""
    seconds: float = 0.0

    @property
    def widths(self) -> tuple[int, ...]:
        return tuple(self.model.hookpoints[name] for name in self.hookpoints)

    def columns(self, hookpoint: str) -> list[int]:
        """Which columns of `read` are those of a hookpoint, or of several joined by `+`, in that order."""
        starts = np.concatenate([[0], np.cumsum(self.widths)])
        at = [self.hookpoints.index(part) for part in hookpoint.split("+")]
        return [column for i in at for column in range(int(starts[i]), int(starts[i + 1]))]

    def read(self, rows: np.ndarray) -> Tensor:
        """[n, sum of widths]: activations at the valid tokens of rows, row after row."""
        began = time.perf_counter()
        parts = [self._block(part) for part in self._blocks(rows)]
        for cache in self.caches.values():
            cache.save()
        self.seconds += time.perf_counter() - began
        return torch.cat(parts)

    def _blocks(self, rows: np.ndarray) -> list[np.ndarray]:
        size = block_samples(self.rows.context)
        return [rows[start : start + size] for start in range(0, len(rows), size)]

    def _block(self, rows: np.ndarray) -> Tensor:
        if not self.caches:
            return torch.cat(list(self._from_model(rows).values()), 1)
        missing = rows[~np.logical_and.reduce([cache.has(rows) for cache in self.caches.values()])]
        if len(missing):
            for name, x in self._from_model(missing).items():
                self.caches[name].write(missing, x.cpu())
        return torch.cat([self.caches[name].read(rows) for name in self.hookpoints], 1).to(self.model.device)

    def _from_model(self, rows: np.ndarray) -> dict[str, Tensor]:
        ids = torch.from_numpy(self.rows.tokens[rows].astype(np.int64)).to(self.model.device)
        valid = torch.from_numpy(self.rows.valid(rows, include_special=self.include_special)).to(self.model.device)
        read = self.model.read(ids, self.hookpoints)
        found = {name: read[name][valid].float() for name in self.hookpoints}
        self.tokens += int(valid.sum())
        self.tell(Progress("reading activations", self.tokens, None, "tokens"))
        return found
