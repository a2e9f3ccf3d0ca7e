"""How well an SAE reconstructs, over a batch or a stream of them."""

import torch
from jaxtyping import Float
from torch import Tensor

from ..records import Probe


def fvu(x: Float[Tensor, "batch d_in"], x_hat: Float[Tensor, "batch d_in"]) -> float:
    """Fraction of variance unexplained: sum of squared errors over sum of squares about each dimension's
    mean.

    NaN where x does not vary.
    """
    x = x.double()
    error = (x - x_hat.double()).square().sum()
    return float(error / (x - x.mean(0)).square().sum())


def l0(features: Float[Tensor, "batch d_sae"]) -> float:
    """Active features per row."""
    return float((features != 0).sum(-1).double().mean())


class Reconstruction:
    """FVU, L0 and norm ratio of a stream; two of them merge to the same answer as one over both streams.

    Means and sums of squares about them are merged as in Chan, Golub and LeVeque 1983, in float64:
    activations with a few huge dimensions lose nothing to cancellation.
    """

    def __init__(self) -> None:
        self.rows = 0
        self.active = 0
        self._error = 0.0
        self._norms = 0.0
        self._norms_hat = 0.0
        self._mean: Tensor | float = 0.0
        self._squares: Tensor | float = 0.0

    def update(self, x: Float[Tensor, "batch d_in"], x_hat: Float[Tensor, "batch d_in"], active: int) -> None:
        """Take in a batch; `active` is its number of non-zero activations."""
        if not len(x):
            return
        x, x_hat = x.double(), x_hat.double()
        mean = x.mean(0)
        self._join(len(x), mean, (x - mean).square().sum(0))
        self.active += active
        self._error += float((x - x_hat).square().sum())
        self._norms += float(x.norm(dim=1).sum())
        self._norms_hat += float(x_hat.norm(dim=1).sum())

    def merge(self, other: "Reconstruction") -> None:
        """Take in another stream."""
        if not other.rows:
            return
        self._join(other.rows, other._mean, other._squares)
        self.active += other.active
        self._error += other._error
        self._norms += other._norms
        self._norms_hat += other._norms_hat

    @property
    def fvu(self) -> float:
        """NaN where nothing varied."""
        variance = float(torch.as_tensor(self._squares).sum())
        return self._error / variance if variance > 0 else float("nan")

    @property
    def l0(self) -> float:
        return self.active / self.rows if self.rows else float("nan")

    def probe(self) -> Probe:
        """The figures as a record."""
        ratio = self._norms_hat / self._norms if self._norms else float("nan")
        return Probe(fvu=self.fvu, l0=self.l0, norm_ratio=ratio, tokens=self.rows)

    def _join(self, rows: int, mean: Tensor | float, squares: Tensor | float) -> None:
        total = self.rows + rows
        apart = mean - self._mean
        self._squares = self._squares + squares + apart * apart * (self.rows * rows / total)
        self._mean = self._mean + apart * (rows / total)
        self.rows = total
