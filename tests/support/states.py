"""States of random activations: ties, ragged lengths, invalid positions, any batch size."""

import numpy as np
import torch

from saescope.extraction.groups import ActiveBatch
from saescope.extraction.state import ExtractionState, Settings


def make(seed: int, samples: int, positions: int, d_sae: int, levels: int, density: float):
    """Random activations with many ties (few levels), ragged lengths and invalid positions."""
    rng = np.random.default_rng(seed)
    activations = rng.integers(1, levels + 1, (samples, positions, d_sae)).astype(np.float32) / 4
    activations *= rng.random((samples, positions, d_sae)) < density
    lengths = rng.integers(2, positions + 1, samples)
    valid = np.arange(positions) < lengths[:, None]
    valid[:, 0] = False
    valid &= rng.random((samples, positions)) > 0.05
    return activations, valid, lengths


def batch_of(activations, valid, lengths, rows) -> ActiveBatch:
    dense = torch.from_numpy(np.where(valid[rows][..., None], activations[rows], 0))
    sample, position, feature = dense.nonzero(as_tuple=True)
    return ActiveBatch(
        samples=torch.from_numpy(np.asarray(rows)),
        lengths=torch.from_numpy(lengths[rows]),
        valid_tokens=torch.from_numpy(valid[rows].sum(1)),
        sample=sample,
        position=position,
        feature=feature,
        value=dense[sample, position, feature],
    )


def run(data, rows, batch_size: int, setting: Settings, state=None, *, compiled: bool = True) -> ExtractionState:
    state = state or ExtractionState(setting, compiled=compiled)
    for at in range(0, len(rows), batch_size):
        state.update(batch_of(*data, rows[at : at + batch_size]))
    return state


def tensors(state: ExtractionState) -> dict[str, torch.Tensor]:
    """All that a state holds."""
    named: dict[str, list[torch.Tensor]] = {}
    for piece in state.pieces():
        for name, column in piece.items():
            named.setdefault(name, []).append(column)
    return {name: torch.cat(columns) for name, columns in named.items()}
