"""OpenMOSS: llamascopium's config.json and sae_weights.safetensors, and its older form, Llama Scope's
hyperparams.json and checkpoints/final.safetensors.

b_D is never subtracted from the input. With norm_activation `dataset-wise` it was trained on x * sqrt(d_model) / the
mean norm, which the files hold, and its output is divided by the factor of where it writes. The library's own folding
leaves the threshold of a jumprelu as it was, which changes its features; here nothing is changed by folding. With
sparsity_include_decoder_norm the pre-activation times the decoder row's norm decides whether a feature is active; the
norm is not in its value.
"""

import math
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ..base import SaeConfig
from ..names import hookpoint_name
from .fold import decoder_norms, scale_input
from .reading import (
    Found,
    Heads,
    Reading,
    Shape,
    Weights,
    bad,
    check_k,
    count,
    one_of,
    positive,
    read_json,
    section,
    stored_dtype,
    words,
    yes_or_no,
)

CONFIG, WEIGHTS = "config.json", "sae_weights.safetensors"
OLD_CONFIG, OLD_WEIGHTS = "hyperparams.json", "final.safetensors"

_NORM = "dataset_average_activation_norm"
_LOG_THRESHOLD = "activation_function.log_jumprelu_threshold"
_NEW = {"W_enc": "W_E", "b_enc": "b_E", "W_dec": "W_D", "b_dec": "b_D"}
_OLD = {"W_enc": "encoder.weight", "b_enc": "encoder.bias", "W_dec": "decoder.weight", "b_dec": "decoder.bias"}


def read(found: Found, heads: Heads) -> Reading:
    """llamascopium. Raises BadSource for the other kinds of dictionary it knows, and for what depends on a batch."""
    path = found.config or found.folder / CONFIG
    raw = read_json(path)
    one_of(path, raw, "sae_type", ("sae",), "sae")
    if yes_or_no(path, raw, "use_glu_encoder", False):
        raise bad(path, "an encoder with a second, gating product (use_glu_encoder) is not supported")
    d_in = count(path, raw, "d_model")
    d_sae = int(d_in * positive(path, raw, "expansion_factor"))
    entering, leaving = words(raw, "hook_point_in"), words(raw, "hook_point_out")
    cfg = _config(path, raw, heads, d_in, d_sae, _NEW)
    names = dict(_NEW)
    if not yes_or_no(path, raw, "use_decoder_bias", True):
        del names["b_dec"]
    shapes = _shapes(names, d_in, d_sae)
    if cfg.kind == "jumprelu":
        shapes[_LOG_THRESHOLD] = (d_sae,)
    scaled = raw.get("norm_activation") == "dataset-wise"
    norms = tuple(f"{_NORM}.{hook}" for hook in (entering, leaving or entering)) if scaled else ()
    included = yes_or_no(path, raw, "sparsity_include_decoder_norm", True)
    return Reading(
        cfg, shapes | dict.fromkeys(norms, ()), partial(_canonical, names, norms, included), ignored=(_NORM,)
    )


def _canonical(
    names: dict[str, str], norms: tuple[str, ...], included: bool, cfg: SaeConfig, weights: Weights
) -> tuple[SaeConfig, Weights]:
    ours = {name: weights[theirs] for name, theirs in names.items()}
    ours.setdefault("b_dec", torch.zeros(cfg.width_out))
    if cfg.kind == "jumprelu":
        ours["threshold"] = weights[_LOG_THRESHOLD].exp()
        if included:
            ours["threshold"] = ours["threshold"] / decoder_norms(ours)
    if norms:
        into, out = (math.sqrt(cfg.d_in) / float(weights[name]) for name in norms)
        ours = scale_input(ours, into, out)
    return cfg, ours


def read_old(found: Found, heads: Heads) -> Reading:
    """Llama Scope: linear layers, one threshold for all features, the mean norms in the configuration."""
    path = found.config or found.folder / OLD_CONFIG
    raw = read_json(path)
    for key in ("use_glu_encoder", "apply_decoder_bias_to_pre_encoder"):
        if yes_or_no(path, raw, key, False):
            raise bad(path, f"{key} is not supported")
    d_in, d_sae = count(path, raw, "d_model"), count(path, raw, "d_sae")
    cfg = _config(path, raw, heads, d_in, d_sae, _OLD)
    names = dict(_OLD)
    if not yes_or_no(path, raw, "use_decoder_bias", True):
        del names["b_dec"]
    threshold = positive(path, raw, "jump_relu_threshold") if cfg.kind == "jumprelu" else None
    factors = None
    if raw.get("norm_activation") == "dataset-wise":
        means = section(path, raw, _NORM)
        into, out = positive(path, means, "in"), positive(path, means, "out" if "out" in means else "in")
        factors = math.sqrt(d_in) / into, math.sqrt(d_in) / out
    included = yes_or_no(path, raw, "sparsity_include_decoder_norm", True)
    shapes = {name: shape[::-1] for name, shape in _shapes(names, d_in, d_sae).items()}
    return Reading(cfg, shapes, partial(_canonical_old, names, threshold, factors, included))


def _canonical_old(
    names: dict[str, str],
    threshold: float | None,
    factors: tuple[float, float] | None,
    included: bool,
    cfg: SaeConfig,
    weights: Weights,
) -> tuple[SaeConfig, Weights]:
    ours = {name: weights[theirs] for name, theirs in names.items()}
    ours["W_enc"], ours["W_dec"] = ours["W_enc"].T.contiguous(), ours["W_dec"].T.contiguous()
    ours.setdefault("b_dec", torch.zeros(cfg.width_out))
    if threshold is not None:
        ours["threshold"] = torch.full_like(ours["b_enc"], threshold)
        if included:
            ours["threshold"] = ours["threshold"] / decoder_norms(ours)
    return cfg, scale_input(ours, *factors) if factors else ours


def _config(path: Path, raw: dict[str, Any], heads: Heads, d_in: int, d_sae: int, names: dict[str, str]) -> SaeConfig:
    kind = one_of(path, raw, "act_fn", ("relu", "jumprelu", "topk"), "relu")
    included = yes_or_no(path, raw, "sparsity_include_decoder_norm", True)
    k = count(path, raw, "top_k") if kind == "topk" else None
    check_k(path, k, d_sae)
    entering, leaving = words(raw, "hook_point_in"), words(raw, "hook_point_out")
    transcoder = bool(leaving) and leaving != entering
    norm = one_of(path, raw, "norm_activation", ("none", "inference", "dataset-wise", "token-wise"), "none")
    if norm == "token-wise" and transcoder:
        raise bad(path, "norm_activation token-wise is not supported for a transcoder")
    return SaeConfig(
        kind="normtopk" if kind == "topk" and included else kind,
        d_in=d_in,
        d_sae=d_sae,
        k=k,
        model=words(raw, "model_name"),
        hookpoint=hookpoint_name(entering),
        apply_b_dec_to_input=False,
        normalise="constant_norm_rescale" if norm == "token-wise" else "none",
        d_out=d_in if transcoder else None,
        hookpoint_out=hookpoint_name(leaving) if transcoder else "",
        dtype=stored_dtype(heads, names["W_enc"]),
        origin={"format": "llamascopium", "config": raw},
    )


def _shapes(names: dict[str, str], d_in: int, d_sae: int) -> dict[str, Shape]:
    ours: dict[str, Shape] = {"W_enc": (d_in, d_sae), "b_enc": (d_sae,), "W_dec": (d_sae, d_in), "b_dec": (d_in,)}
    return {theirs: ours[name] for name, theirs in names.items()}
