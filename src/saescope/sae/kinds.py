"""Every kind by its name."""

from .abs_topk import AbsTopK
from .base import Sae
from .batch_topk import BatchTopK
from .gated import Gated
from .group_max import GroupMax
from .jumprelu import JumpReLU
from .norm_topk import NormTopK
from .relu import ReLU
from .topk import TopK

KINDS: dict[str, type[Sae]] = {
    kind.kind: kind for kind in (TopK, BatchTopK, JumpReLU, ReLU, Gated, AbsTopK, NormTopK, GroupMax)
}

COUNTED = ("topk", "abstopk", "normtopk", "groupmax")
"""The kinds with a k."""
