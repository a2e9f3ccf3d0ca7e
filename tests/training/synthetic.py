"""Activations made of a known dictionary: sparse sums of unit directions, off centre, in units of their own."""

import torch
from torch import Tensor

from saescope.specs import TrainSae
from saescope.training import Trainer

D_IN, FEATURES = 24, 60


def dictionary() -> Tensor:
    rows = torch.randn(FEATURES, D_IN, generator=torch.Generator().manual_seed(0))
    return rows / rows.norm(dim=1, keepdim=True)


def activations(n: int, seed: int, active: float = 4.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed + 1)
    on = torch.rand(n, FEATURES, generator=generator) < active / FEATURES
    size = torch.rand(n, FEATURES, generator=generator) + 0.5
    return (on * size) @ dictionary() * 10 + 3


def spec(kind: str, **changes: object) -> TrainSae:
    fields: dict[str, object] = {
        "model": "tiny",
        "dataset": "synthetic",
        "hookpoint": "layers.1.resid_post",
        "kind": kind,
        "d_sae": 96,
        "k": 5,
        "batch": 256,
        "tokens": 256 * 200,
        "l1": 2.0 if kind == "gated" else 1.0,
        "seed": 3,
    }
    if kind == "crosscoder":
        fields["hookpoint"] = "layers.0.resid_post+layers.1.resid_post"
    return TrainSae(**{**fields, **changes})


def trainer(kind: str, total_steps: int, **changes: object) -> Trainer:
    """A trainer for these activations; to a crosscoder they are two hookpoints."""
    widths = (D_IN // 2, D_IN // 2) if kind == "crosscoder" else None
    return Trainer(spec(kind, **changes), D_IN, total_steps=total_steps, widths=widths)
