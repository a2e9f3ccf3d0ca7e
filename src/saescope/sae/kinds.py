"""Every kind by its name."""

from .base import Sae
from .batch_topk import BatchTopK
from .jumprelu import JumpReLU
from .relu import ReLU
from .topk import TopK

KINDS: dict[str, type[Sae]] = {kind.kind: kind for kind in (TopK, BatchTopK, JumpReLU, ReLU)}
