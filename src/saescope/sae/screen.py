"""Which pre-activations are large, found by a quick product in bfloat16 and made sure of in float32.

Processors with matrix units for bfloat16 (AMX) do a product in it seven to nine times as fast as in float32. Of a row's
many pre-activations only a few matter, and a product that is a little wrong is good enough to say which ones may: all
those that come within its largest possible error of the k-th largest, or of a threshold. These few are computed again
in float32. What comes out is what the float32 product gives, up to the order in which a sum is rounded.

The largest error. Rounding to bfloat16 changes a number by at most u = 2^-8 of it, so that with x' and w' rounded

    |x'.w' - x.w| <= (2u + u^2) sum_i |x_i w_i| <= (2u + u^2) ||x / s|| ||w s||        (Cauchy and Schwarz)

for any s > 0 of each input dimension. The bound is tight where s^2 is |x_i| / |w_i|, and root mean squares over the
batch and the features stand for these: a few dimensions are far larger than the rest in every residual stream. Adding
up the terms in float32 and rounding the sum to bfloat16 come on top. The bias is a weight of its own, in two parts, off
by u^2 of it together.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .active import Active, above, largest

UNIT = 2.0**-8
"""Largest relative error of rounding to bfloat16."""
_LEAST_CELLS = 1 << 18
"""Smaller encoders cost next to nothing either way."""
_MOST = 1 / 64
"""Share of entries to make sure of from which a product in float32 is the quicker one."""


def can_screen(weight: Tensor) -> bool:
    """Whether this processor has matrix units for bfloat16, and the weight is one that they help with."""
    fits = weight.device.type == "cpu" and weight.dtype == torch.float32 and weight.numel() >= _LEAST_CELLS
    return fits and bool(getattr(torch.cpu, "get_capabilities", dict)().get("amx_bf16"))


class Screened(NamedTuple):
    """A tile's product in bfloat16, wrong by error * reach at most, output rounding aside."""

    pre: Float[Tensor, "rows d_sae"]
    error: Float[Tensor, "rows"]
    reach: Float[Tensor, "d_sae"]
    """1 at most."""


class Screen:
    """An encoder's large pre-activations, row by row exact."""

    def __init__(self, encoder: Float[Tensor, "d_sae d_in"], bias: Float[Tensor, "d_sae"], tile_rows: int) -> None:
        self.encoder, self.bias, self.tile_rows = encoder.detach().contiguous(), bias.detach(), tile_rows
        high = self.bias.bfloat16()
        self._half = torch.empty(*self.encoder.shape[:1], self.encoder.shape[1] + 2, dtype=torch.bfloat16)
        self._half[:, :-2] = self.encoder
        self._half[:, -2], self._half[:, -1] = high, self.bias - high
        size = self.encoder[:: max(1, len(self.encoder) // 1024)].square().mean(0).sqrt()
        self._size = size.clamp(min=float(size.max()) * 1e-6 + 1e-30)
        self._bias_error = (UNIT**2 + self._adding) * float(self.bias.abs().max())

    @property
    def _adding(self) -> float:
        """Largest error of adding up the terms of a product in float32, in ratio to the sum of their magnitudes."""
        return self._half.shape[1] * 2.0**-23

    @torch.no_grad()
    def largest(self, x: Float[Tensor, "rows d_in"], k: int) -> tuple[Float[Tensor, "rows k"], Int[Tensor, "rows k"]]:
        """The k largest pre-activations of each row where they are positive, by index; a place left over holds 0.

        Needs k < d_sae.
        """
        from . import kernels

        values, indices = x.new_empty(len(x), k), torch.empty(len(x), k, dtype=torch.long)
        unsure = torch.empty(len(x), dtype=torch.bool)
        for start, tile in self._tiles(x):
            part = slice(start, start + len(tile.pre))
            kernels.screened_largest(
                tile.pre.view(torch.int16).numpy(), x[part].numpy(), self.encoder.numpy(), self.bias.numpy(),
                tile.error.numpy(), tile.reach.numpy(), values[part].numpy(), indices[part].numpy(),
                unsure[part].numpy(), torch.get_num_threads(),
            )  # fmt: skip
        left = unsure.nonzero().squeeze(1)
        for rows in left.split(self.tile_rows):
            _, indices[rows] = largest(self._plain(x[rows]), k)
            found = torch.repeat_interleave(rows, k), indices[rows].view(-1)
            values[rows] = self._exact(*found, x).view(-1, k).clamp(min=0)
        return values, indices

    @torch.no_grad()
    def above(self, x: Float[Tensor, "rows d_in"], limit: Float[Tensor, "#d_sae"]) -> Active:
        """The pre-activations that exceed their feature's limit, or one limit for all, as columns."""
        from . import kernels

        limit = limit.detach().to(self.bias.dtype).expand(len(self.bias)).contiguous()
        threads, found = torch.get_num_threads(), []
        for start, tile in self._tiles(x):
            near = limit - tile.reach * tile.error.max()
            near = (near - 4 * UNIT * near.abs()).bfloat16()  # below its limit, whichever way bfloat16 rounds
            most = int(_MOST * tile.pre.numel())
            none_negative = bool((near > 0).all())  # then the order of negatives is of no matter
            pre = tile.pre.view(torch.int16) if none_negative else _ordered(tile.pre)
            below = _ordered(near).clamp(min=1 - 2**15) - 1  # `near` itself counts
            entries = kernels.above(pre.numpy(), below.numpy(), most, threads)
            if entries is None:
                plain = above(self._plain(x[start : start + len(tile.pre)]), near.float())
                rows, features = plain.rows, plain.features
            else:
                rows, features = map(torch.from_numpy, entries[:2])
            rows += start
            values = self._exact(rows, features, x)
            keep = values > limit[features]
            found.append(Active(rows[keep], features[keep], values[keep]))
        return Active(*map(torch.cat, zip(*found, strict=True)))

    def _plain(self, x: Float[Tensor, "rows d_in"]) -> Float[Tensor, "rows d_sae"]:
        return torch.addmm(self.bias, x, self.encoder.T)

    def _exact(self, rows: Int[Tensor, "n"], features: Int[Tensor, "n"], x: Float[Tensor, "rows d_in"]) -> Tensor:
        """Single pre-activations in float32."""
        from . import kernels

        values = self.bias.new_empty(len(rows))
        kernels.single_products(
            rows.numpy(), features.numpy(), x.numpy(), self.encoder.numpy(), self.bias.numpy(), values.numpy(),
            torch.get_num_threads(),
        )  # fmt: skip
        return values

    def _tiles(self, x: Float[Tensor, "rows d_in"]) -> Iterator[tuple[int, Screened]]:
        """(first row, its tile) of `tile_rows` rows at a time; the next takes the place of the last."""
        from . import kernels

        size = x.square().mean(0).sqrt()
        spread = (size.clamp(min=float(size.max()) * 1e-6 + 1e-30) / self._size).sqrt()
        lengths = self.bias.new_empty(len(self.bias))
        kernels.row_lengths(self.encoder.numpy(), spread.numpy(), lengths.numpy(), torch.get_num_threads())
        rows = (x / spread).norm(dim=1) * (1.001 * (2 * UNIT + UNIT**2 + self._adding))
        error = rows * lengths.max() + self._bias_error
        reach = (rows.min() * lengths + self._bias_error) / error.min().clamp(min=1e-30)  # most where rows are short
        half = self._half.new_ones(len(x), x.shape[1] + 2)
        half[:, :-2] = x
        buffer = half.new_empty(min(self.tile_rows, len(x)), len(self.bias))
        for start in range(0, len(x), self.tile_rows):
            part = half[start : start + self.tile_rows]
            pre = torch.mm(part, self._half.T, out=buffer[: len(part)])
            yield start, Screened(pre, error[start : start + len(part)], reach)


def _ordered(x: Tensor) -> Tensor:
    """The bits of bfloat16 numbers, turned so that they compare as the numbers do."""
    bits = x.view(torch.int16)
    return bits ^ ((bits >> 15) & 0x7FFF)
