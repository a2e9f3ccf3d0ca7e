"""sparsify: a folder named after the hookpoint with cfg.json and sae.safetensors; the run's config.json is beside it.

b_dec is subtracted from the input unless the coder is a transcoder. `normalize_decoder` acts in training only.
"""

import re
from pathlib import Path
from typing import Any

from ...errors import BadValue
from ..base import Sae, SaeConfig
from .fold import centred, uncentred
from .reading import (
    Found,
    Heads,
    Reading,
    Weights,
    bad,
    check_k,
    count,
    one_of,
    read_json,
    stored_dtype,
    words,
    yes_or_no,
)
from .writing import as_stored, put, put_json

WEIGHTS, CONFIG = "sae.safetensors", "cfg.json"
_SITES = {"mlp": "mlp_out", "attn": "attn_out", "self_attn": "attn_out", "attention": "attn_out"}


def read(found: Found, heads: Heads) -> Reading:
    """Raises BadSource for what does not fit, and for the signed coders of early releases."""
    path = found.config or found.folder / CONFIG
    raw = read_json(path)
    kind = one_of(path, raw, "activation", ("topk", "groupmax"), "topk")
    if raw.get("signed"):
        raise bad(path, "signed coders (of sparsify before 1.0) are not supported")
    d_in = count(path, raw, "d_in")
    d_sae = count(path, raw, "num_latents") if raw.get("num_latents") else d_in * count(path, raw, "expansion_factor")
    k = count(path, raw, "k")
    check_k(path, k, d_sae)
    if kind == "groupmax" and d_sae % k:
        raise bad(path, f"{d_sae} features cannot be cut into k = {k} equal groups")
    transcoder, skip = yes_or_no(path, raw, "transcode", False), yes_or_no(path, raw, "skip_connection", False)
    several = yes_or_no(path, raw, "multi_topk", False)
    if skip and not transcoder:
        raise bad(path, "a skip connection without transcode is not supported: an SAE that may copy explains nothing")
    entering, leaving = _hookpoints(found.folder, transcoder)
    cfg = SaeConfig(
        kind=kind,
        d_in=d_in,
        d_sae=d_sae,
        k=k,
        model=_model(found.folder),
        hookpoint=entering,
        apply_b_dec_to_input=not transcoder,
        d_out=d_in if transcoder else None,
        skip=skip,
        hookpoint_out=leaving,
        dtype=stored_dtype(heads, "encoder.weight"),
        origin={"format": "sparsify", "config": raw},
        notes=(f"it was trained with multi_topk; k is {k}, as when sparsify encodes",) if several else (),
    )
    shapes: dict[str, tuple[int, ...]] = {
        "encoder.weight": (d_sae, d_in),
        "encoder.bias": (d_sae,),
        "W_dec": (d_sae, d_in),
        "b_dec": (d_in,),
    }
    return Reading(cfg, shapes | {"W_skip": (d_in, d_in)} if skip else shapes, _canonical)


def _canonical(cfg: SaeConfig, weights: Weights) -> tuple[SaeConfig, Weights]:
    weights["W_enc"] = weights.pop("encoder.weight").T.contiguous()
    weights["b_enc"] = weights.pop("encoder.bias")
    return cfg, weights


def _model(folder: Path) -> str:
    """The model's name, from the run's config.json one or two levels up; empty where it says none."""
    for place in (folder.parent, folder.parent.parent):
        path = place / "config.json"
        if path.is_file():
            return words(read_json(path), "model")
    return ""


def _hookpoints(folder: Path, transcoder: bool) -> tuple[str, str]:
    """Where it reads and writes, told by its folder's name: a module, `layers.5` or `layers.5.mlp`, perhaps with a
    seed's folder below. An SAE reads a module's output; a transcoder its input, and writes its output.
    """
    name = folder.parent.name if re.fullmatch(r"seed\d+", folder.name) else folder.name
    match = re.fullmatch(r"(?:\w+\.)*?(?:layers|h|blocks)\.(\d+)(?:\.(\w+))?", name)
    if not match or (match[2] and match[2] not in _SITES):
        return name, name if transcoder else ""
    layer, site = f"layers.{match[1]}", _SITES.get(match[2], "resid_post")
    if not transcoder:
        return f"{layer}.{site}", ""
    before = {"mlp_out": "mlp_in", "resid_post": "resid_pre"}.get(site, name)
    return (f"{layer}.{before}" if before != name else name), f"{layer}.{site}"


# ---- writing ----


def write(sae: Sae, folder: Path) -> None:
    """Write cfg.json and sae.safetensors so that sparsify's SparseCoder gives the same features.

    Raises BadValue for the kinds it has no coder for.
    """
    cfg = sae.cfg
    if cfg.kind not in ("topk", "groupmax"):
        raise BadValue(f"sparsify has no coder of the kind {cfg.kind}, only topk and groupmax", "export it as saelens")
    if cfg.normalise != "none":
        raise BadValue(f"sparsify has no coder that normalises rows ({cfg.normalise})", "export it as saelens")
    if cfg.width_out != cfg.d_in:
        raise BadValue(
            f"sparsify has no coder that reads {cfg.d_in} numbers and writes {cfg.width_out}", "export it as saelens"
        )
    weights = sae.weights
    if cfg.apply_b_dec_to_input == cfg.transcoder:
        weights = uncentred(weights) if cfg.transcoder else centred(weights)
    weights = as_stored(sae, weights)
    weights["encoder.weight"] = weights.pop("W_enc").T.contiguous()
    weights["encoder.bias"] = weights.pop("b_enc")
    put(weights, folder / WEIGHTS)
    put_json(_config(cfg), folder / CONFIG)


def _config(cfg: SaeConfig) -> dict[str, Any]:
    origin = cfg.origin.get("config") if cfg.origin.get("format") == "sparsify" else None
    if isinstance(origin, dict):
        return origin
    return {
        "activation": cfg.kind,
        "expansion_factor": max(1, cfg.d_sae // cfg.d_in),
        "normalize_decoder": False,
        "num_latents": cfg.d_sae,
        "k": cfg.k,
        "multi_topk": False,
        "skip_connection": cfg.skip,
        "transcode": cfg.transcoder,
        "d_in": cfg.d_in,
    }
