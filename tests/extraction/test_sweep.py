"""The sweep's own bookkeeping: what waits, what is reduced, and when."""

import numpy as np
import torch

from saescope.extraction.state import ExtractionState, Settings
from saescope.extraction.sweep import Reader, flush, sweep
from saescope.sae import KINDS, SaeConfig


class Rows:
    """Forty full rows of eight tokens."""

    samples, context = 40, 8
    tokens = np.ones((40, 8), dtype=np.int32)
    lengths = np.full(40, 8, dtype=np.int32)

    def valid(self, rows, *, include_special=False):
        return np.ones((len(range(*rows.indices(self.samples))), 8), dtype=bool)


def test_a_save_where_nothing_waits(monkeypatch):
    """A batch size that divides the block leaves nothing to flush before a save."""
    monkeypatch.setattr("saescope.extraction.sweep.BLOCK_TOKENS", 64)
    generator = torch.Generator().manual_seed(0)
    shapes = {"W_enc": (6, 16), "b_enc": (16,), "W_dec": (16, 6), "b_dec": (6,)}
    weights = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    sae = KINDS["topk"](SaeConfig("topk", d_in=6, d_sae=16, k=3), weights)
    reader = Reader(sae, "x", ExtractionState(Settings(d_sae=sae.d_sae, top_k=3, window=4)))

    def read(ids, hookpoints):
        return {name: torch.randn(*ids.shape, sae.d_in, generator=generator) for name in hookpoints}

    seen = 0
    for swept in sweep(read, [reader], Rows(), batch_size=4):
        assert reader.waiting == []
        flush([reader], swept.batch_size)
        seen = swept.samples
    assert seen == reader.state.samples == 40
