"""What every kind of training shares: weights, a batch, how features are chosen, and the terms of losses.

Legend: z the input and y the target, scaled so that the mean of ||z||^2 is its width (for an SAE y is z); pre the
pre-activations, f the activations, W a decoder row, e = y^ - y. FVU is sum ||e||^2 / sum ||y - mean(y)||^2 over the
batch, its denominator held constant.

A kind is one file with one subclass of `Objective`, its formula and paper in the docstring, and a line in `KINDS`.
It says which entries of [batch, d_sae] are active (`choose` goes through them tile by tile, so nothing dense outlives
a tile) and what is minimised; weights beyond encoder, decoder and biases are fields of `Weights`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ...packed import PackedLinear, can_pack_wide
from ...sae.active import Active, above, largest, strongest
from ...sae.screen import Screen, can_screen
from ...specs import TrainSae
from ..sparse import Chosen, decode_at, encode_at

TILE_ROWS = 256
"""Rows whose pre-activations exist at once."""


@dataclass
class Weights:
    """An SAE while it learns: rows are features in both matrices, so that a feature's gradient is one stretch."""

    encoder: Float[Tensor, "d_sae d_in"]
    b_enc: Float[Tensor, "d_sae"]
    decoder: Float[Tensor, "d_sae d_out"]
    b_dec: Float[Tensor, "d_out"]
    threshold: Float[Tensor, "d_sae"] | None = None
    """JumpReLU's, learned."""
    r_mag: Float[Tensor, "d_sae"] | None = None
    """Gated: log of what separates a feature's strength from its gate."""
    b_mag: Float[Tensor, "d_sae"] | None = None
    """Gated: the strength's bias."""
    skip: Float[Tensor, "d_out d_in"] | None = None
    """A transcoder's straight connection."""

    def parameters(self) -> dict[str, Tensor]:
        return {name: tensor for name, tensor in vars(self).items() if tensor is not None}


@dataclass(frozen=True)
class Batch:
    """What one step is given, scaled."""

    z: Float[Tensor, "batch d_in"]
    y: Float[Tensor, "batch d_out"]
    centred: bool
    """Whether b_dec is taken from the input first; a transcoder's lives elsewhere, so there it is not."""

    def __len__(self) -> int:
        return len(self.z)

    def inputs(self, weights: Weights) -> Float[Tensor, "batch d_in"]:
        """What the encoder matrix is given."""
        return self.z - weights.b_dec.detach() if self.centred else self.z


@dataclass(frozen=True)
class Terms:
    """What a loss may depend on besides weights and batch."""

    step: int
    """Steps already made."""
    sparsity: float
    """Warm-up of the sparsity penalty, 0 to 1."""
    dead: Bool[Tensor, "d_sae"]
    """Features that have been silent for long."""


@dataclass(frozen=True)
class Outcome:
    """One batch through an SAE."""

    loss: Float[Tensor, ""]
    y_hat: Float[Tensor, "batch d_out"]
    chosen: Chosen
    values: Float[Tensor, "n"]
    """Activations at the chosen entries; where one is 0, its feature is silent."""


class Objective:
    """What one kind of SAE minimises, and the little it remembers from step to step."""

    kind: ClassVar[str]
    form: ClassVar[str]
    """The kind in `sae/` that the trained SAE is; most often its own."""
    unit_norm: ClassVar[bool] = True
    """Decoder rows are held at norm 1: what would lengthen them is taken from the gradient."""

    def __init__(self, spec: TrainSae, total_steps: int) -> None:
        self.spec, self.total_steps = spec, total_steps
        self.facts: dict[str, float] = {}
        """Numbers that follow the run and belong to its state."""

    def extend(self, weights: Weights, batch: Batch) -> None:
        """Add the weights of its own to those that every kind begins with; the batch is the first one."""

    def loss(self, weights: Weights, batch: Batch, terms: Terms) -> Outcome:
        """Forward and loss, ready for backward."""
        raise NotImplementedError

    def follow(self, outcome: Outcome, steps: int) -> None:
        """Take note of a step that has been made."""

    def parts(self, weights: Weights, scale: float | Tensor) -> dict[str, Tensor]:
        """The trained SAE's tensors beside encoder, decoder and biases; scale takes an activation to its own units."""
        return {}

    def details(self) -> dict[str, Any]:
        """Hyperparameters as they are noted in the SAE's file."""
        return {"k": self.spec.k}


def choose(weights: Weights, batch: Batch, pick: Callable[[Float[Tensor, "rows d_sae"]], Active]) -> Active:
    """The entries of [batch, d_sae] that `pick` finds in each tile of pre-activations, and these, without gradients."""
    found = []
    for start, pre in tiles(weights, batch):
        entries = pick(pre)
        found.append(entries._replace(rows=entries.rows + start) if start else entries)
        del pre  # before there is another
    return found[0] if len(found) == 1 else Active(*map(torch.cat, zip(*found, strict=True)))


def strongest_of_rows(weights: Weights, batch: Batch, k: int) -> Active:
    """The k largest pre-activations of each row that are positive."""
    if _screens(weights, k):
        return strongest(*_screen(weights).largest(batch.inputs(weights), k))
    return choose(weights, batch, lambda pre: strongest(*largest(pre, k)))


def exceeding(weights: Weights, batch: Batch, limit: Float[Tensor, "#d_sae"]) -> Active:
    """The pre-activations that exceed a limit which few do."""
    if _screens(weights):
        return _screen(weights).above(batch.inputs(weights), limit)
    return choose(weights, batch, lambda pre: above(pre, limit))


def _screens(weights: Weights, k: int = 0) -> bool:
    return can_screen(weights.encoder) and 8 * k <= len(weights.encoder)


def _screen(weights: Weights) -> Screen:
    return Screen(weights.encoder, weights.b_enc, TILE_ROWS)


@torch.no_grad()
def tiles(weights: Weights, batch: Batch) -> Iterator[tuple[int, Float[Tensor, "rows d_sae"]]]:
    """(first row, pre-activations) of TILE_ROWS rows at a time; the next may take the place of the last."""
    x, encoder, bias = batch.inputs(weights), weights.encoder.detach(), weights.b_enc.detach()
    if can_pack_wide(encoder):
        packed = PackedLinear(encoder, bias, TILE_ROWS)
        for start in range(0, len(x), TILE_ROWS):
            yield start, packed(x[start : start + TILE_ROWS])
        return
    buffer = x.new_empty(min(TILE_ROWS, len(x)), len(encoder))
    for start in range(0, len(x), TILE_ROWS):
        part = x[start : start + TILE_ROWS]
        yield start, torch.addmm(bias, part, encoder.T, out=buffer[: len(part)])


def positive(weights: Weights, batch: Batch) -> Active:
    """Every entry with a positive pre-activation."""
    limit = weights.b_enc.new_zeros(1)
    return choose(weights, batch, lambda pre: above(pre, limit))


def exceeded_on(
    x: Float[Tensor, "batch d_in"], encoder: Float[Tensor, "d_sae d_in"], share: float
) -> Float[Tensor, "d_sae"]:
    """What each feature's product with an input exceeds on that share of the batch, on one row at least."""
    largest = len(x) - max(1, round(len(x) * (1 - share))) + 1
    return torch.cat([(part @ x.T).topk(largest, dim=1).values[:, -1] for part in encoder.split(TILE_ROWS)])


def encoded(weights: Weights, batch: Batch, found: Active) -> tuple[Chosen, Float[Tensor, "n"]]:
    """The chosen entries, and their pre-activations with gradients."""
    chosen = Chosen(found.rows, found.features, len(batch), len(weights.b_enc))
    b_dec = weights.b_dec if batch.centred else None
    return chosen, encode_at(batch.z, weights.encoder, weights.b_enc, b_dec, found.values, chosen)


def decoded(weights: Weights, batch: Batch, values: Float[Tensor, "n"], chosen: Chosen) -> Float[Tensor, "batch d_out"]:
    """The reconstruction."""
    y_hat = decode_at(values, weights.decoder, chosen) + weights.b_dec
    return y_hat if weights.skip is None else y_hat + batch.z @ weights.skip.T


def fvu(y: Float[Tensor, "batch d_out"], y_hat: Float[Tensor, "batch d_out"]) -> Float[Tensor, ""]:
    return (y_hat - y).square().sum() / (y - y.mean(0)).square().sum().clamp(min=1e-12)


def squared_error(y: Float[Tensor, "batch d_out"], y_hat: Float[Tensor, "batch d_out"]) -> Float[Tensor, ""]:
    """mean ||e||^2."""
    return (y_hat - y).square().sum() / len(y)
