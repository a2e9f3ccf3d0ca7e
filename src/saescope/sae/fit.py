"""How well an SAE fits the activations it is given, and whether it would fit them better in another dress.

An SAE that was trained on scaled, centred or normalised rows, and is read as if it were not, explains little or less
than nothing of them. So the usual dresses are tried, each put on before the SAE and taken off its reconstruction.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from ..records import Probe
from .base import Sae
from .metrics import Reconstruction

_ROWS = 512
_OCTAVES = range(-12, 13)
"""Scales that are tried: powers of two, up to 4,096 times smaller and larger; then closer around the best."""

Forward = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Trial:
    """One dress and how the SAE fits in it."""

    what: str
    probe: Probe
    scale: float | None = None


@torch.no_grad()
def measure(sae: Sae, x: Float[Tensor, "batch d_in"], y: Float[Tensor, "batch d_out"] | None = None) -> Probe:
    """FVU, L0 and norm ratio of an SAE on activations; y is what it should write, x itself by default."""
    reconstruction = Reconstruction()
    x, y = x.float(), x.float() if y is None else y.float()
    for rows, wanted in zip(x.split(_ROWS), y.split(_ROWS), strict=True):
        active = sae.active(rows)
        reconstruction.update(wanted, sae.reconstruct(rows, active), len(active.rows))
    return reconstruction.probe()


@torch.no_grad()
def dressed(sae: Sae, x: Float[Tensor, "batch d_in"]) -> Iterator[Trial]:
    """The trials of an SAE (no transcoder) on rows that it should reconstruct."""
    x = x.float()
    scale = _best_scale(sae, x)
    yield Trial(f"activations multiplied by {scale:.4g}", _scaled(sae, x, scale), scale)
    mean = x.mean(1, keepdim=True)
    centred = _measured(sae, x - mean, lambda rows: rows, x - mean)
    yield Trial("rows centred: the mean of each row's numbers subtracted", centred)
    if sae.cfg.normalise == "none":
        for how in ("layer_norm", "constant_norm_rescale"):
            yield Trial(f"rows normalised ({how})", measure(_with(sae, normalise=how), x))
    else:
        yield Trial("rows not normalised", measure(_with(sae, normalise="none"), x))
    flipped = not sae.cfg.apply_b_dec_to_input
    words = "b_dec subtracted from the input" if flipped else "b_dec not subtracted from the input"
    yield Trial(words, measure(_with(sae, apply_b_dec_to_input=flipped), x))


def _with(sae: Sae, **changes: object) -> Sae:
    """The same weights under another configuration."""
    return type(sae)(replace(sae.cfg, **changes), sae.weights)  # type: ignore[arg-type]


def _best_scale(sae: Sae, x: Float[Tensor, "batch d_in"]) -> float:
    """The factor of the input with the smallest FVU on a few rows: the best power of two, refined."""
    few = x[:: max(1, len(x) // _ROWS)][:_ROWS]
    usual = (x.shape[1] ** 0.5 / float(x.norm(dim=1).mean()), 1 / float(x.square().sum(1).mean().sqrt()))
    tried = {scale: _scaled(sae, few, scale).fvu for scale in (*(2.0**octave for octave in _OCTAVES), *usual)}
    best = min(tried, key=lambda scale: tried[scale])
    for step in (1.3, 1.1, 1.03):
        for scale in (best / step, best * step):
            tried.setdefault(scale, _scaled(sae, few, scale).fvu)
        best = min(tried, key=lambda scale: tried[scale])
    return best


def _scaled(sae: Sae, x: Float[Tensor, "batch d_in"], scale: float) -> Probe:
    return _measured(sae, x * scale, lambda rows: rows / scale, x)


def _measured(sae: Sae, given: Tensor, undo: Forward, wanted: Tensor) -> Probe:
    """How well the SAE reconstructs `wanted` when it is given these rows and its answer is taken back by `undo`."""
    reconstruction = Reconstruction()
    for rows, due in zip(given.split(_ROWS), wanted.split(_ROWS), strict=True):
        reconstruction.update(due, undo(sae(rows)), len(sae.active(rows).rows))
    return reconstruction.probe()
