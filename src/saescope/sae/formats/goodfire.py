"""Goodfire: one .pt or .pth with the state dict of two linear layers around a relu; no configuration."""

import re

from ..base import SaeConfig
from .reading import Found, Heads, Reading, Weights, sides, stored_dtype

_ENCODER, _DECODER = "encoder_linear", "decoder_linear"


def looks_like(heads: Heads) -> bool:
    """Whether a state dict is one of these."""
    return f"{_ENCODER}.weight" in heads


def read(found: Found, heads: Heads) -> Reading:
    """The hookpoint is told by the file's name, as `…-l19.pth`; b_dec is not subtracted from the input."""
    d_sae, d_in = sides(found.weights, heads, f"{_ENCODER}.weight")
    match = re.fullmatch(r"(.+)-SAE-l(\d+)", found.weights.stem)
    cfg = SaeConfig(
        kind="relu",
        d_in=d_in,
        d_sae=d_sae,
        model=match[1] if match else "",
        hookpoint=f"layers.{match[2]}.resid_post" if match else "",
        apply_b_dec_to_input=False,
        dtype=stored_dtype(heads, f"{_ENCODER}.weight"),
        origin={"format": "goodfire"},
    )
    shapes = {
        f"{_ENCODER}.weight": (d_sae, d_in),
        f"{_ENCODER}.bias": (d_sae,),
        f"{_DECODER}.weight": (d_in, d_sae),
        f"{_DECODER}.bias": (d_in,),
    }
    return Reading(cfg, shapes, _canonical)


def _canonical(cfg: SaeConfig, weights: Weights) -> tuple[SaeConfig, Weights]:
    return cfg, {
        "W_enc": weights[f"{_ENCODER}.weight"].T.contiguous(),
        "b_enc": weights[f"{_ENCODER}.bias"],
        "W_dec": weights[f"{_DECODER}.weight"].T.contiguous(),
        "b_dec": weights[f"{_DECODER}.bias"],
    }
