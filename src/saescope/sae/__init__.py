"""Sparse autoencoders: one contract, one file per kind, and the files they are kept in."""

from .active import Active
from .base import Sae, SaeConfig
from .batch_topk import BatchTopK
from .files import export_sae, load_sae, read_sae, save_sae
from .jumprelu import JumpReLU
from .kinds import KINDS
from .metrics import Reconstruction, fvu, l0
from .relu import ReLU
from .topk import TopK

__all__ = [
    "KINDS",
    "Active",
    "BatchTopK",
    "JumpReLU",
    "ReLU",
    "Reconstruction",
    "Sae",
    "SaeConfig",
    "TopK",
    "export_sae",
    "fvu",
    "l0",
    "load_sae",
    "read_sae",
    "save_sae",
]
