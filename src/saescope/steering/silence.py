"""Making ablated features read exactly zero.

Taking a feature's contribution away (f' = 0) leaves it active in a second reading wherever its encoder
and decoder do not match perfectly: the pre-activation falls by f * (w_enc · w_dec), not by f. What is
left is taken away in rounds, on the rows where a feature is still active, as far as the pre-activation
just below its threshold: along the decoder rows at first; then, where decoder and encoder hardly overlap
or several ablated features keep waking each other, by the shortest step that lowers the pre-activations
of those still active and leaves the others' alone.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..sae.base import Sae

ROUNDS = 32
DECODER_ROUNDS = 6
"""Rounds that go along the decoder rows."""
OVERLAP = 0.2
"""Smallest cosine of encoder column and decoder row for which that is tried."""


def silence(sae: Sae, x: Float[Tensor, "batch d_in"], features: Int[Tensor, "n"]) -> Float[Tensor, "batch d_in"]:
    """Rows near x, in x's dtype, whose re-encoding is zero at `features`; rows that already read so stay.

    Each round overshoots a little more, so that rounding to a short dtype leaves no remainder. Features that
    cannot be silent together (one's encoder is zero or the opposite of another's) stay after the last round.
    """
    encoder, decoder = sae.W_enc.float()[:, features].T, sae.W_dec.float()[features]
    overlap = (encoder * decoder).sum(1)
    aligned = overlap > OVERLAP * encoder.norm(dim=1) * decoder.norm(dim=1)
    along_decoder = torch.where(aligned, 1 / overlap, 0)[:, None] * decoder
    shortest = torch.linalg.pinv(encoder, rtol=1e-4).T
    rounding = max(torch.finfo(x.dtype).eps, torch.finfo(sae.W_enc.dtype).eps) / x.shape[1] ** 0.5
    out = x
    for number in range(ROUNDS):
        f = sae.encode(out.float())[:, features].float()
        rows = (f != 0).any(1).nonzero().squeeze(1)
        if not len(rows):
            break
        left, near = f[rows], out[rows].float()
        scale = _scale(sae, near)
        slack = near.norm(dim=1, keepdim=True) / scale * encoder.norm(dim=1) * rounding + 1e-4 * left.abs()
        excess = sae.excess(left, features) + left.sign() * (1 + number) * slack
        step = excess @ along_decoder if number < DECODER_ROUNDS and aligned.any() else excess @ shortest
        out = out.clone()
        out[rows] = (near - step * scale).to(x.dtype)
    return out


def _scale(sae: Sae, x: Float[Tensor, "batch d_in"]) -> Float[Tensor, "batch 1"]:
    """How long one unit of the encoder's normalised input is in x's own units."""
    match sae.cfg.normalise:
        case "layer_norm":
            return x.std(1, keepdim=True)
        case "constant_norm_rescale":
            return x.norm(dim=1, keepdim=True) / x.shape[1] ** 0.5
        case "none":
            return x.new_ones(len(x), 1)
