"""Activations made of a known dictionary: sparse sums of unit directions, off centre, in units of their own."""

import torch
from torch import Tensor

from saescope.specs import TrainSae

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
        "l1": 1.0,
        "seed": 3,
    }
    return TrainSae(**{**fields, **changes})
