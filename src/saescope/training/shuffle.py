"""Activations in a random order, in bounded memory, the same again from any step on.

The rows of a token store are put in a random order once per epoch and read block after block; the activations
of a block are drawn in a random order of their own, `reuse` times over. Every order comes from (seed, epoch)
or (seed, block, pass) alone, so a stopped run goes on exactly where it was.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import BadSource

Reader = Callable[[np.ndarray], Float[Tensor, "n d_in"]]


class ShuffledActivations:
    """Batches of activations drawn from rows that `read_rows` turns into activations.

    read_rows(rows): the valid activations of these rows of the token store, in any number. It is called with
    `rows_at_once` rows at a time. context: the most activations a row can give; a block holds as many rows as
    surely fit into `buffer` activations. counts: how many activations each row gives, where that is known
    beforehand; without it, going on from a later step has to read everything before.
    """

    def __init__(
        self,
        read_rows: Reader,
        n_rows: int,
        *,
        context: int,
        buffer: int,
        batch: int,
        reuse: int = 1,
        seed: int = 0,
        counts: np.ndarray | None = None,
        rows_at_once: int = 64,
    ) -> None:
        if n_rows < 1:
            raise BadSource("there are no rows to train on", "add a dataset with text in it")
        self.read_rows, self.n_rows, self.context = read_rows, n_rows, context
        self.buffer, self.batch, self.reuse, self.seed = buffer, batch, reuse, seed
        self.counts, self.rows_at_once = counts, rows_at_once
        self.rows_per_block = min(n_rows, max(1, buffer // context))
        self.blocks_per_epoch = -(-n_rows // self.rows_per_block)

    def batches(self, start_step: int = 0) -> Iterator[Float[Tensor, "batch d_in"]]:
        """Batches without end, from that step on exactly as an uninterrupted run has them; they may straddle
        blocks.
        """
        skip = start_step * self.batch
        kept: list[Tensor] = []
        for block in self._blocks():
            known = self._count(block)
            if known is not None and skip >= known * self.reuse:
                skip -= known * self.reuse
                continue
            activations = self._read(block)
            for turn in range(self.reuse):
                order = self._order(len(activations), block, turn)[skip:]
                skip = max(0, skip - len(activations))
                while len(order):
                    taken = order[: self.batch - sum(map(len, kept))]
                    order = order[len(taken) :]
                    kept.append(activations[taken])
                    if sum(map(len, kept)) == self.batch:
                        yield torch.cat(kept) if len(kept) > 1 else kept[0]
                        kept = []

    def rows(self, block: int) -> np.ndarray:
        """Which rows of the token store a block reads, in that order."""
        epoch, place = divmod(block, self.blocks_per_epoch)
        order = np.random.default_rng(np.random.SeedSequence([self.seed, 0, epoch])).permutation(self.n_rows)
        return order[place * self.rows_per_block : (place + 1) * self.rows_per_block]

    def _blocks(self) -> Iterator[int]:
        """Block numbers for ever; an error where a whole epoch gives nothing."""
        block, self._seen = 0, 0
        while True:
            yield block
            block += 1
            if block % self.blocks_per_epoch == 0:
                if not self._seen:
                    raise BadSource("no row holds a valid token to train on", "add a dataset with more text in it")
                self._seen = 0

    def _count(self, block: int) -> int | None:
        """How many activations a block gives, where that is known without reading it."""
        if self.counts is None:
            return None
        number = int(self.counts[self.rows(block)].sum())
        self._seen += number
        return number

    def _read(self, block: int) -> Float[Tensor, "n d_in"]:
        rows = self.rows(block)
        parts: Tensor | None = None
        filled = 0
        for start in range(0, len(rows), self.rows_at_once):
            part = self.read_rows(rows[start : start + self.rows_at_once])
            if parts is None:
                parts = part.new_empty(len(rows) * self.context, part.shape[1])
            parts[filled : filled + len(part)] = part
            filled += len(part)
        assert parts is not None
        self._seen += filled
        return parts[:filled]

    def _order(self, n: int, block: int, turn: int) -> Tensor:
        """The order in which a block's activations are drawn the turn-th time."""
        words = np.random.SeedSequence([self.seed, 1, block, turn]).generate_state(1, np.uint64)
        generator = torch.Generator().manual_seed(int(words[0]) >> 1)
        return torch.randperm(n, generator=generator)
