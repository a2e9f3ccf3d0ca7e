"""The contract every kind of SAE keeps, and the one form all of them are held in.

The canonical form, for a row x of d_in numbers in the model's own units, in this order:

    z   = normalise(x)                            none, layer_norm or constant_norm_rescale (see `normalise`)
    z   = z - b_dec                               only if cfg.apply_b_dec_to_input
    pre = z @ W_enc + b_enc                       W_enc [d_in, d_sae]
    f   = activation(pre)                         the kind: ReLU, JumpReLU, BatchTopK, TopK, NormTopK, AbsTopK,
                                                  GroupMax, Gated
    x^  = undo(f @ W_dec + b_dec)                 W_dec [d_sae, d_in]; undo() restores the row's own scale
    x^  = x^ + x @ W_skip.T                       only if cfg.skip; W_skip [d_out, d_in], x as it came

A transcoder is the same with W_dec [d_sae, d_out] and b_dec [d_out]: x^ is then what the model has at another
hookpoint, and b_dec is never subtracted from the input. Of a Gated SAE, b_enc is the gate's bias.

Nothing else is multiplied in anywhere. A factor that a library keeps beside its weights is folded into them
when they are read (`formats/fold.py`): a scale s of the input (it was trained on s * x) becomes W_enc * s,
W_dec / s, b_dec / s; a whitening (x - m) @ M becomes M @ W_enc, W_dec @ M^-1, b_dec @ M^-1 + m; a norm n of a decoder
row that scales the feature becomes W_enc * n, b_enc * n, threshold * n, W_dec / n. Biases are never merged on
reading (b_dec is subtracted, not multiplied into b_enc), so that a pre-activation on a threshold stays on it.
SAEs trained here have unit decoder rows: a feature's value is the length of what it adds to x^.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ..packed import PackedLinear, can_pack_wide
from .active import Active, above
from .screen import Screen, can_screen

Normalisation = Literal["none", "layer_norm", "constant_norm_rescale"]

TILE_ROWS = 512
"""Rows whose pre-activations exist at once in `active`; fewer above 131,072 features, so that a tile stays in 256 MiB.

Of 128, 256, 512 and 1,024 rows the matrix product is within 3 % of its best from 256 or 512 on; at 128 it costs up to
half more on some machines.
"""
_TILE_CELLS = 1 << 26
_PACKED_CELLS = 1 << 28
"""Encoder weights are packed up to this number of cells (1 GiB): packing keeps a second copy."""


@dataclass(frozen=True)
class SaeConfig:
    """What an SAE is, apart from its weights."""

    kind: str
    d_in: int
    d_sae: int
    k: int | None = None
    """TopK's number of active features; None for the kinds that compare with a threshold."""
    model: str = ""
    hookpoint: str = ""
    apply_b_dec_to_input: bool = True
    normalise: Normalisation = "none"
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """What else its file says: dataset, context, seed, tokens, versions."""
    d_out: int | None = None
    """Numbers a transcoder writes; None for an SAE, which writes what it reads."""
    skip: bool = False
    """Whether a transcoder adds x @ W_skip.T to what it writes."""
    hookpoint_out: str = ""
    """Where a transcoder writes."""
    dtype: str = "float32"
    """The type its file holds its weights in."""
    origin: Mapping[str, Any] = field(default_factory=dict)
    """The format it was read from, and what that format's own configuration says."""
    notes: tuple[str, ...] = ()
    """What its file leaves open, one sentence each."""

    @property
    def transcoder(self) -> bool:
        return self.d_out is not None

    @property
    def width_out(self) -> int:
        """Numbers in a row of the reconstruction."""
        return self.d_in if self.d_out is None else self.d_out


class Undo(NamedTuple):
    """What takes a normalised row back: x = z * scale + shift."""

    scale: Float[Tensor, "*batch 1"] | None
    shift: Float[Tensor, "*batch 1"] | None


def normalise(x: Float[Tensor, "*batch d_in"], how: Normalisation) -> tuple[Float[Tensor, "*batch d_in"], Undo]:
    """Scale each row as SAELens does, and say how to take it back.

    layer_norm: (x - mean) / (std + 1e-5) with the unbiased std; taken back by * std + mean, without the 1e-5.
    constant_norm_rescale: each row to norm sqrt(d_in).
    """
    if how == "layer_norm":
        mean, std = x.mean(-1, keepdim=True), x.std(-1, keepdim=True)
        return (x - mean) / (std + 1e-5), Undo(std, mean)
    if how == "constant_norm_rescale":
        scale = x.norm(dim=-1, keepdim=True) / x.shape[-1] ** 0.5
        return x / scale, Undo(scale, None)
    return x, Undo(None, None)


class Sae(nn.Module):
    """A sparse autoencoder in canonical form; one subclass per kind.

    Every method takes rows of any float type and answers in the type and on the device of the weights.
    """

    kind: ClassVar[str]
    per_feature: ClassVar[tuple[str, ...]] = ()
    """What the kind has besides, one number for each feature."""
    signed: ClassVar[bool] = False
    """Whether a feature can be negative."""

    W_enc: Float[nn.Parameter, "d_in d_sae"]
    b_enc: Float[nn.Parameter, "d_sae"]
    W_dec: Float[nn.Parameter, "d_sae d_out"]
    b_dec: Float[nn.Parameter, "d_out"]
    W_skip: Float[nn.Parameter, "d_out d_in"]

    def __init__(self, cfg: SaeConfig, weights: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.cfg = cfg
        for name in self.shapes(cfg):
            self.register_parameter(name, nn.Parameter(weights[name], requires_grad=False))
        self._packed: PackedLinear | None = None
        self._screen: Screen | None = None

    @classmethod
    def shapes(cls, cfg: SaeConfig) -> dict[str, tuple[int, ...]]:
        """Every weight of an SAE of this kind, and its shape."""
        shapes: dict[str, tuple[int, ...]] = {
            "W_enc": (cfg.d_in, cfg.d_sae),
            "b_enc": (cfg.d_sae,),
            "W_dec": (cfg.d_sae, cfg.width_out),
            "b_dec": (cfg.width_out,),
            **dict.fromkeys(cls.per_feature, (cfg.d_sae,)),
        }
        return shapes | {"W_skip": (cfg.width_out, cfg.d_in)} if cfg.skip else shapes

    @property
    def weights(self) -> dict[str, Tensor]:
        """Every weight by its name."""
        return {name: getattr(self, name).detach() for name in self.shapes(self.cfg)}

    @property
    def d_in(self) -> int:
        return self.cfg.d_in

    @property
    def d_sae(self) -> int:
        return self.cfg.d_sae

    @property
    def k(self) -> int | None:
        return self.cfg.k

    @property
    def tile_rows(self) -> int:
        """Rows encoded at once by `active`."""
        return min(TILE_ROWS, max(64, _TILE_CELLS // self.d_sae))

    def pack(self) -> "Sae":
        """Lay out the encoder for `active`, as a second copy, where that is quicker; the weights must not change."""
        # beside the module's own parameters: it is none of them, and no file should hold it
        if self.W_enc.numel() > _PACKED_CELLS:
            return self
        if self._screens and can_screen(self.W_enc):
            object.__setattr__(self, "_screen", Screen(self.W_enc.T, self.b_enc, self.tile_rows))
        elif can_pack_wide(self.W_enc):
            object.__setattr__(self, "_packed", PackedLinear(self.W_enc.T, self.b_enc, self.tile_rows))
        return self

    def encode(self, x: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch d_sae"]:
        """Every feature's activation, dense."""
        return self._activation(self._pre(self._inputs(x)[0]))

    def encode_sparse(
        self, x: Float[Tensor, "*batch d_in"]
    ) -> tuple[Float[Tensor, "*batch k"], Int[Tensor, "*batch k"]]:
        """The non-zero activations and their features; unused places hold value 0 and index 0.

        k is TopK's own, or the widest row's number of active features for the other kinds.
        """
        flat = x.reshape(-1, x.shape[-1])
        rows, features, values = self.active(flat)
        counts = torch.bincount(rows, minlength=len(flat))
        width = int(counts.max()) if len(flat) else 0
        place = torch.arange(len(rows), device=rows.device) - (counts.cumsum(0) - counts)[rows]
        out_values = values.new_zeros(len(flat), width)
        out_indices = features.new_zeros(len(flat), width)
        out_values[rows, place] = values
        out_indices[rows, place] = features
        shape = (*x.shape[:-1], width)
        return out_values.view(shape), out_indices.view(shape)

    @torch.no_grad()
    def active(self, x: Float[Tensor, "batch d_in"]) -> Active:
        """The non-zero activations as three columns: the fast path of an extraction, never dense beyond a
        tile.

        A row's answer does not depend, to the last bit, on the rows beside it: tiles all have one shape.
        """
        if self._screen is not None and len(x):
            return self._screened(self._screen, self._inputs(x)[0].contiguous())
        tiles = [self._sparse(pre) for pre in self._tiles(x)]
        if not tiles:
            none = torch.empty(0, dtype=torch.long, device=self.W_enc.device)
            return Active(none, none, none.to(self.W_enc.dtype))
        for number, tile in enumerate(tiles):
            tile.rows.add_(number * self.tile_rows)
        return Active(*(torch.cat(column) for column in zip(*tiles, strict=True)))

    def decode(self, features: Float[Tensor, "*batch d_sae"]) -> Float[Tensor, "*batch d_out"]:
        """The reconstruction in x's own units, without any skip; not for SAEs that normalise rows (`forward` is)."""
        self._check_linear("decode")
        return features.to(self.W_dec.dtype) @ self.W_dec + self.b_dec

    def decode_sparse(
        self, values: Float[Tensor, "*batch k"], indices: Int[Tensor, "*batch k"]
    ) -> Float[Tensor, "*batch d_out"]:
        """`decode` of what `encode_sparse` gave; nothing of width d_sae is made."""
        self._check_linear("decode_sparse")
        return self._sum_rows(values, indices) + self.b_dec

    def forward(self, x: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch d_out"]:
        """The reconstruction of x, row normalisation and skip included: what the original library's user gets."""
        z, undo = self._inputs(x)
        features = self._activation(self._pre(z))
        return self._undone(x, features @ self.W_dec + self.b_dec, undo)

    @torch.no_grad()
    def reconstruct(self, x: Float[Tensor, "batch d_in"], active: Active) -> Float[Tensor, "batch d_out"]:
        """`forward`, from the columns that `active` gave for x: nothing of width d_sae is made."""
        starts = torch.searchsorted(active.rows, torch.arange(len(x), device=x.device))
        x_hat = nn.functional.embedding_bag(
            active.features, self.W_dec, starts, per_sample_weights=active.values.to(self.W_dec.dtype), mode="sum"
        )
        return self._undone(x, x_hat + self.b_dec, self._inputs(x)[1])

    def delta(
        self,
        x: Float[Tensor, "batch d_in"],
        features: Int[Tensor, "n"],
        change: Float[Tensor, "batch n"],
    ) -> Float[Tensor, "batch d_out"]:
        """dec(f + change) - dec(f) in x's own units: what to add where the SAE writes so that these features so
        change.
        """
        moved = change.to(self.W_dec.dtype) @ self.W_dec[features]
        scale = self._inputs(x)[1].scale
        return moved if scale is None else moved * scale

    def excess(self, f: Float[Tensor, "batch n"], features: Int[Tensor, "n"]) -> Float[Tensor, "batch n"]:
        """How far the pre-activation of an active feature lies beyond where the feature is silent; 0 where it is
        silent already.

        f: its value. The kinds with ranks are silent for certain at a pre-activation of 0, mostly sooner.
        """
        return f

    def _inputs(self, x: Float[Tensor, "*batch d_in"]) -> tuple[Float[Tensor, "*batch d_in"], Undo]:
        """What the encoder matrix is given."""
        z, undo = normalise(x.to(self.W_enc.dtype), self.cfg.normalise)
        return (z - self.b_dec if self.cfg.apply_b_dec_to_input else z), undo

    def _pre(self, z: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch d_sae"]:
        return z @ self.W_enc + self.b_enc

    def _tiles(self, x: Float[Tensor, "batch d_in"]) -> Iterator[Float[Tensor, "rows d_sae"]]:
        """Pre-activations of `tile_rows` rows at a time; the next one may take the place of the last.

        The last tile is filled up with zero rows: a matrix product of another shape may round differently.
        """
        z, _ = self._inputs(x)
        size = self.tile_rows
        buffer = z.new_empty(0 if self._packed else size, self.d_sae)
        for start in range(0, len(z), size):
            tile = z[start : start + size]
            rows = len(tile)
            if rows < size:
                tile = torch.cat([tile, tile.new_zeros(size - rows, self.d_in)])
            if self._packed:
                yield self._packed(tile)[:rows]
            else:
                yield torch.addmm(self.b_enc, tile, self.W_enc, out=buffer)[:rows]

    def _undone(
        self, x: Float[Tensor, "*batch d_in"], x_hat: Float[Tensor, "*batch d_out"], undo: Undo
    ) -> Float[Tensor, "*batch d_out"]:
        """A reconstruction at the scale of x, and the skip added."""
        if undo.scale is not None:
            x_hat = x_hat * undo.scale
        if undo.shift is not None:
            x_hat = x_hat + undo.shift
        return x_hat + x.to(x_hat.dtype) @ self.W_skip.T if self.cfg.skip else x_hat

    def _sum_rows(
        self, values: Float[Tensor, "*batch k"], indices: Int[Tensor, "*batch k"]
    ) -> Float[Tensor, "*batch d_out"]:
        width = values.shape[-1]
        if not width:
            return self.b_dec.new_zeros(*values.shape[:-1], self.cfg.width_out)
        flat = nn.functional.embedding_bag(
            indices.reshape(-1, width),
            self.W_dec,
            per_sample_weights=values.reshape(-1, width).to(self.W_dec.dtype),
            mode="sum",
        )
        return flat.view(*values.shape[:-1], self.cfg.width_out)

    def _check_linear(self, what: str) -> None:
        if self.cfg.normalise != "none":
            raise RuntimeError(f"{what}() needs the row it came from under {self.cfg.normalise}: use forward or delta")

    def _activation(self, pre: Float[Tensor, "*batch d_sae"]) -> Float[Tensor, "*batch d_sae"]:
        """The kind's activation function."""
        raise NotImplementedError

    def _sparse(self, pre: Float[Tensor, "rows d_sae"]) -> Active:
        """The same, as columns."""
        raise NotImplementedError

    @property
    def _screens(self) -> bool:
        """Whether `_screened` is there, and pays."""
        return False

    def _screened(self, screen: Screen, z: Float[Tensor, "rows d_in"]) -> Active:
        """The non-zero activations by a screen of the encoder, for the kinds of which few pre-activations matter."""
        raise NotImplementedError


class ThresholdSae(Sae):
    """The kinds whose feature is relu(pre) where pre > threshold (strictly), and 0 elsewhere."""

    per_feature = ("threshold",)

    threshold: Float[nn.Parameter, "d_sae"]

    def excess(self, f: Float[Tensor, "batch n"], features: Int[Tensor, "n"]) -> Float[Tensor, "batch n"]:
        return torch.where(f > 0, f - self._limit().float()[features], 0)

    def _activation(self, pre: Float[Tensor, "*batch d_sae"]) -> Float[Tensor, "*batch d_sae"]:
        return torch.where(pre > self._limit(), pre, 0)

    def _sparse(self, pre: Float[Tensor, "rows d_sae"]) -> Active:
        return above(pre, self._limit())

    @property
    def _screens(self) -> bool:
        return True

    def _screened(self, screen: Screen, z: Float[Tensor, "rows d_in"]) -> Active:
        return screen.above(z, self._limit())

    def _limit(self) -> Tensor:
        return self.threshold.clamp(min=0)
