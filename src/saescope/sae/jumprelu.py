"""JumpReLU features: each has a threshold of its own, learned.

Rajamanoharan et al. 2024, "Jumping Ahead: Improving Reconstruction Fidelity with JumpReLU Sparse
Autoencoders", eq. 3.
"""

from .base import ThresholdSae


class JumpReLU(ThresholdSae):
    """f = pre where pre > threshold (strictly) and pre > 0, else 0."""

    kind = "jumprelu"
