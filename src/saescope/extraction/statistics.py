"""What is counted for every feature: exact sums, so that shards merge to the very same numbers.

Floating-point sums depend on their order; these do not. A value is split into whole part and a fraction in units
of 2^-32, and both are summed as 64-bit integers: exact for up to 2^31 active tokens of one feature.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .groups import Groups

_FRACTION = 2.0**32

# Histogram: two bins an octave from 2^-20 to 2^20; what lies outside goes to the first or last bin.
_LOWEST_OCTAVE, _OCTAVES, _PER_OCTAVE = -20, 40, 2
BINS = _OCTAVES * _PER_OCTAVE
LOWEST_HALF_OCTAVE = (127 + _LOWEST_OCTAVE) << 1
"""The first bin's exponent and first mantissa bit, as they stand in a float32."""


def histogram_edges() -> list[float]:
    """The fixed edges: 2^-20, 1.5 * 2^-20, 2^-19, ... 2^20 (a bin is read off a float's leading bits)."""
    octaves = range(_LOWEST_OCTAVE, _LOWEST_OCTAVE + _OCTAVES)
    return [step * 2.0**octave for octave in octaves for step in (1.0, 1.5)] + [2.0 ** (_LOWEST_OCTAVE + _OCTAVES)]


def _bins(value: Float[Tensor, "n"]) -> Int[Tensor, "n"]:
    """Bin of each value from its exponent and first mantissa bit."""
    half_octaves = value.view(torch.int32).long() >> 22
    return (half_octaves - LOWEST_HALF_OCTAVE).clamp_(0, BINS - 1)


Measured = list[tuple[str, Tensor, Tensor]]
"""Column, the places in it, and what to add there."""


class Statistics:
    """Counts and sums of every feature, as tensors that add up."""

    BYTES = 6 * 8 + 4 + 8 * BINS
    """For each feature."""

    def __init__(self, d_sae: int, device: torch.device | str = "cpu") -> None:
        self.d_sae = d_sae
        self.columns = {
            name: torch.zeros(d_sae, dtype=torch.int64, device=device)
            for name in ("active_tokens", "active_samples", "sum", "sum_fraction", "square", "square_fraction")
        }
        self.columns["max"] = torch.zeros(d_sae, device=device)
        self.columns["histogram"] = torch.zeros(d_sae * BINS, dtype=torch.int64, device=device)

    def measure(self, groups: Groups) -> Measured:
        """What a batch adds, worked out before anything changes; no loop over features."""
        value = groups.value.double()
        square = value * value
        whole, whole_square = value.floor(), square.floor()
        ones = torch.ones(len(value), dtype=torch.int64, device=value.device)
        return [
            ("active_tokens", groups.of_feature, ones),
            ("active_samples", groups.feature, ones[: len(groups.feature)]),
            ("histogram", groups.of_feature.long() * BINS + _bins(groups.value), ones),
            ("sum", groups.of_feature, whole.long()),
            ("sum_fraction", groups.of_feature, ((value - whole) * _FRACTION).round_().long()),
            ("square", groups.of_feature, whole_square.long()),
            ("square_fraction", groups.of_feature, ((square - whole_square) * _FRACTION).round_().long()),
            ("max", groups.feature, groups.max),
        ]

    def apply(self, measured: Measured) -> None:
        """Add what was measured."""
        for name, where, amount in measured:
            if name == "max":
                self.columns["max"].scatter_reduce_(0, where, amount, "amax")
            else:
                self.columns[name].index_add_(0, where, amount)

    def merge(self, other: "Statistics") -> None:
        """Add another's counts to these."""
        for name, column in self.columns.items():
            if name == "max":
                torch.maximum(column, other.columns[name], out=column)
            else:
                column += other.columns[name]

    def _moment(self, name: str) -> Float[Tensor, "d_sae"]:
        total = self.columns[name].double() + self.columns[name + "_fraction"].double() / _FRACTION
        return total / self.columns["active_tokens"].clamp(min=1)

    @property
    def mean(self) -> Float[Tensor, "d_sae"]:
        """Mean of the non-zero activations; 0 for dead features."""
        return self._moment("sum")

    @property
    def second_moment(self) -> Float[Tensor, "d_sae"]:
        """Mean square of the non-zero activations; 0 for dead features."""
        return self._moment("square")
