"""Crosscoder: one set of features over several hookpoints. Lindsey et al. 2024, "Sparse Crosscoders for Cross-Layer
Features and Model Diffing", the loss of its section on setup."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from .base import Weights
from .relu import ReLU


class Crosscoder(ReLU):
    """mean sum_l ||e_l||^2 + l1 * mean sum_i f_i sum_l ||W_i^l||: a ReLU SAE over hookpoints laid side by side.

    Each hookpoint's activations are scaled by themselves. As a crosscoder has no one place to subtract a bias at, b_dec
    is not taken from its input.
    """

    kind = "crosscoder"

    def norms(self, weights: Weights) -> Float[Tensor, "d_sae"]:
        parts = weights.decoder.tensor_split(len(self.spec.hookpoint.split("+")), dim=1)
        return torch.stack([part.norm(dim=1) for part in parts]).sum(0)

    def details(self) -> dict[str, Any]:
        return {"l1_coefficient": self.spec.l1, "hookpoints": self.spec.hookpoint.split("+")}
