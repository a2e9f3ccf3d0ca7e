"""What each kind minimises: one file, one paper each."""

from .base import Batch, Objective, Outcome, Terms, Weights
from .batchtopk import BatchTopK
from .crosscoder import Crosscoder
from .gated import Gated
from .jumprelu import JumpReLU
from .matryoshka import Matryoshka
from .p_anneal import PAnneal
from .relu import ReLU
from .topk import TopK

OBJECTIVES: dict[str, type[Objective]] = {
    objective.kind: objective for objective in (TopK, BatchTopK, Matryoshka, JumpReLU, ReLU, Gated, PAnneal, Crosscoder)
}

__all__ = ["OBJECTIVES", "Batch", "Objective", "Outcome", "Terms", "Weights"]
