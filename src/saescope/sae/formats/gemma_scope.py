"""Gemma Scope: layer_5/width_16k/average_l0_12/params.npz without a configuration; and Gemma Scope 2:
layer_5_width_16k_l0_medium/params.safetensors, mostly with a config.json.

JumpReLU with one threshold for each feature; b_dec is not subtracted from the input; nothing is normalised. What else
there is to know stands in the names of folders: `…-res`, `…-mlp`, `…-transcoders`, `resid_post`, `mlp_out`.
"""

import re
from dataclasses import replace
from functools import partial

from ..base import SaeConfig
from .reading import (
    Found,
    Heads,
    Reading,
    Weights,
    bad,
    one_of,
    read_json,
    sides,
    stored_dtype,
    words,
    yes_or_no,
)

WEIGHTS, WEIGHTS_2, CONFIG_2 = "params.npz", "params.safetensors", "config.json"
_SKIP = "affine_skip_connection"
_MODULES = {
    "output": "resid_post",
    "post_feedforward_layernorm.output": "mlp_out",
    "pre_feedforward_layernorm.output": "mlp_in",
}


def read(found: Found, heads: Heads) -> Reading:
    """params.npz; W_enc and W_dec may be written w_enc and w_dec."""
    names = {name: name if name in heads else name.lower() for name in ("W_enc", "W_dec")}
    d_in, d_sae = sides(found.weights, heads, names["W_enc"])
    _, d_out = sides(found.weights, heads, names["W_dec"])
    where = found.folder.as_posix()
    layer = _layer(where)
    transcoder = re.search(r"gemma-scope-[^/]*-transcoders?(/|$)", where) is not None
    site = "resid_post"
    if transcoder or re.search(r"gemma-scope-[^/]*-mlp(/|$)", where):
        site = "mlp_out"
    elif re.search(r"gemma-scope-[^/]*-att(/|$)", where):
        site = "attn.hook_z"
    hookpoint = "embed" if "embedding" in where.split("/")[-3:] else f"layers.{layer}.{site}" if layer else ""
    cfg = _config(found, heads, names["W_enc"], d_in, d_sae, d_out if transcoder else None)
    cfg = _placed(cfg, hookpoint if not transcoder else f"layers.{layer}.mlp_in", hookpoint, _model(where))
    return _reading(cfg, names, skip=False)


def read_2(found: Found, heads: Heads) -> Reading:
    """params.safetensors; crosscoders and cross-layer transcoders, which read or write several layers, are refused."""
    path = found.config or found.folder / CONFIG_2
    raw = read_json(path) if path.is_file() else {}
    one_of(path, raw, "architecture", ("jump_relu", "jumprelu"), "jump_relu")
    if "w_dec" in heads and len(heads["w_dec"].shape) == 3:
        raise bad(found.weights, "a dictionary that writes to several layers (crosscoder, CLT) is not supported")
    names = {"W_enc": "w_enc", "W_dec": "w_dec"}
    d_in, d_sae = sides(found.weights, heads, "w_enc")
    _, d_out = sides(found.weights, heads, "w_dec")
    where = "/".join(found.folder.parts[-3:])
    layer = _layer(where)
    leaving = words(raw, "hf_hook_point_out")
    transcoder = "transcoder" in where or (bool(leaving) and leaving != words(raw, "hf_hook_point_in"))
    skip = transcoder and (yes_or_no(path, raw, "affine_connection", _SKIP in heads) and _SKIP in heads)
    if _SKIP in heads and not skip:
        raise bad(found.weights, f"it holds {_SKIP}, but its configuration says nothing of one")
    cfg = _config(found, heads, "w_enc", d_in, d_sae, d_out if transcoder else None, skip)
    entering = _of_module(words(raw, "hf_hook_point_in")) or _of_folder(where, layer, transcoder)
    leaving = _of_module(leaving) or (f"layers.{layer}.mlp_out" if layer else "")
    return _reading(_placed(cfg, entering, leaving, words(raw, "model_name")), names, skip)


def _config(
    found: Found, heads: Heads, encoder: str, d_in: int, d_sae: int, d_out: int | None, skip: bool = False
) -> SaeConfig:
    return SaeConfig(
        kind="jumprelu",
        d_in=d_in,
        d_sae=d_sae,
        apply_b_dec_to_input=False,
        d_out=d_out,
        skip=skip,
        dtype=stored_dtype(heads, encoder),
        origin={"format": found.format},
    )


def _placed(cfg: SaeConfig, entering: str, leaving: str, model: str) -> SaeConfig:
    return replace(cfg, hookpoint=entering, hookpoint_out=leaving if cfg.transcoder else "", model=model)


def _reading(cfg: SaeConfig, names: dict[str, str], skip: bool) -> Reading:
    shapes = {
        names["W_enc"]: (cfg.d_in, cfg.d_sae),
        "b_enc": (cfg.d_sae,),
        names["W_dec"]: (cfg.d_sae, cfg.width_out),
        "b_dec": (cfg.width_out,),
        "threshold": (cfg.d_sae,),
    }
    return Reading(cfg, shapes | {_SKIP: (cfg.d_in, cfg.width_out)} if skip else shapes, partial(_canonical, names))


def _canonical(names: dict[str, str], cfg: SaeConfig, weights: Weights) -> tuple[SaeConfig, Weights]:
    for ours, theirs in names.items():
        weights[ours] = weights.pop(theirs)
    if _SKIP in weights:
        weights["W_skip"] = weights.pop(_SKIP).T.contiguous()
    return cfg, weights


def _layer(where: str) -> str:
    found = re.findall(r"layer_(\d+)", where)
    return found[-1] if found else ""


def _model(where: str) -> str:
    """`gemma-scope-2b-pt-res` is of gemma-2-2b, `gemma-scope-9b-it-res` of gemma-2-9b-it."""
    match = re.search(r"gemma-scope-(\d+b)-(pt|it)", where)
    return f"google/gemma-2-{match[1]}{'-it' if match[2] == 'it' else ''}" if match else ""


def _of_module(hook: str) -> str:
    """`model.layers.5.output` as `layers.5.resid_post`; empty for what has no name of ours."""
    match = re.fullmatch(r"(?:\w+\.)*layers\.(\d+)\.(.+)", hook)
    return f"layers.{match[1]}.{_MODULES[match[2]]}" if match and match[2] in _MODULES else ""


def _of_folder(where: str, layer: str, transcoder: bool) -> str:
    site = "mlp_in" if transcoder else next((s for s in ("resid_post", "mlp_out", "attn_out") if s in where), "")
    # its attn_out SAEs read the heads before the output product, which is no hookpoint of ours
    return f"layers.{layer}.{site}" if layer and site and site != "attn_out" else ""
