"""BatchTopK features: the k * batch strongest of a batch while training, one learned threshold afterwards.

Bussmann, Leask and Nanda 2024, "BatchTopK Sparse Autoencoders", eq. 5 to 7: at inference the threshold is the
average over training batches of the smallest positive activation that was kept, so a row's features do not
depend on its batch.
"""

from .base import ThresholdSae


class BatchTopK(ThresholdSae):
    """f = pre where pre > threshold (strictly, the same for every feature), else 0."""

    kind = "batchtopk"
