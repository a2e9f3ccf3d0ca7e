"""Plain tensors in a .safetensors or .npz file, and a mapping that says what they are:

    {"kind": "topk", "k": 32, "tensors": {"W_enc": "enc.weight.T", "b_enc": "enc.bias", …},
     "apply_b_dec_to_input": true, "normalise": "none", "scale": 1.0, "model": "…", "hookpoint": "layers.8.resid_post"}

A name that ends in `.T` is the tensor before that, transposed. A bias that is left out is zero; a threshold of
one number is that of every feature. `scale` is what activations were multiplied with in training.
"""

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ..base import SaeConfig
from ..kinds import COUNTED, KINDS
from .fold import scale_input
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
    sides,
    stored_dtype,
    words,
    yes_or_no,
)

_KEYS = {"kind", "k", "tensors", "apply_b_dec_to_input", "normalise", "scale", "model", "hookpoint", "hookpoint_out",
         "transcoder"}  # fmt: skip
_OPTIONAL = ("b_enc", "b_dec")
_NORMALISATIONS = ("none", "layer_norm", "constant_norm_rescale")


def read(found: Found, heads: Heads) -> Reading:
    """Raises BadSource for keys and names that mean nothing."""
    path, raw = found.weights, dict(found.mapping or {})
    if unknown := sorted(set(raw) - _KEYS):
        raise bad(path, f"its mapping has {unknown[0]!r}, which means nothing", f"keys are {', '.join(sorted(_KEYS))}")
    kind = one_of(path, raw, "kind", tuple(KINDS))
    tensors = section(path, raw, "tensors")
    transcoder = yes_or_no(path, raw, "transcoder", False)
    known = (*Plain, *KINDS[kind].per_feature, *(("W_skip",) if transcoder else ()))
    for ours, theirs in tensors.items():
        if ours not in known or not isinstance(theirs, str):
            raise bad(path, f"its mapping gives {ours!r}, which {kind} has not", f"{kind} has {', '.join(known)}")
    if missing := [name for name in known if name not in tensors and name not in (*_OPTIONAL, "W_skip")]:
        raise bad(path, f"its mapping does not say which tensor is {missing[0]}", f"{kind} has {', '.join(known)}")
    d_in, d_sae = _sides(path, heads, tensors["W_enc"])
    _, d_out = _sides(path, heads, tensors["W_dec"])
    k = count(path, raw, "k") if kind in COUNTED else None
    check_k(path, k, d_sae)
    if kind == "groupmax" and d_sae % (k or 1):
        raise bad(path, f"{d_sae} features cannot be cut into k = {k} equal groups")
    cfg = SaeConfig(
        kind=kind,
        d_in=d_in,
        d_sae=d_sae,
        k=k,
        model=words(raw, "model"),
        hookpoint=words(raw, "hookpoint"),
        apply_b_dec_to_input=yes_or_no(path, raw, "apply_b_dec_to_input", not transcoder),
        normalise=one_of(path, raw, "normalise", _NORMALISATIONS, "none"),  # type: ignore[arg-type]
        d_out=d_out if transcoder else None,
        skip="W_skip" in tensors,
        hookpoint_out=words(raw, "hookpoint_out"),
        dtype=stored_dtype(heads, tensors["W_enc"].removesuffix(".T")),
        origin={"format": "mapping", "config": raw},
    )
    if transcoder and (cfg.apply_b_dec_to_input or cfg.normalise != "none"):
        raise bad(path, "a transcoder subtracts no b_dec from its input and normalises no rows")
    scale = positive(path, raw, "scale") if "scale" in raw else None
    shapes = _shapes(heads, tensors, cfg)
    return Reading(cfg, shapes, partial(_canonical, tensors, scale), ignored=("",))


Plain = ("W_enc", "b_enc", "W_dec", "b_dec")


def _sides(path: Path, heads: Heads, name: str) -> tuple[int, int]:
    rows, columns = sides(path, heads, name.removesuffix(".T"))
    return (columns, rows) if name.endswith(".T") else (rows, columns)


def _shapes(heads: Heads, tensors: Mapping[str, str], cfg: SaeConfig) -> dict[str, Shape]:
    shapes = {}
    for ours, theirs in tensors.items():
        shape = KINDS[cfg.kind].shapes(cfg)[ours]
        name = theirs.removesuffix(".T")
        if ours == "threshold" and name in heads and heads[name].shape in ((), (1,)):
            shape = heads[name].shape
        shapes[name] = shape[::-1] if theirs.endswith(".T") else shape
    return shapes


def _canonical(
    tensors: Mapping[str, str], scale: float | None, cfg: SaeConfig, weights: Weights
) -> tuple[SaeConfig, Weights]:
    ours: Weights = {}
    for name, theirs in tensors.items():
        tensor = weights[theirs.removesuffix(".T")]
        ours[name] = tensor.T.contiguous() if theirs.endswith(".T") else tensor
    ours.setdefault("b_enc", torch.zeros(cfg.d_sae))
    ours.setdefault("b_dec", torch.zeros(cfg.width_out))
    if "threshold" in ours and ours["threshold"].numel() == 1:
        ours["threshold"] = ours["threshold"].reshape(()).repeat(cfg.d_sae)
    return cfg, scale_input(ours, scale) if scale else ours


def as_mapping(given: str | os.PathLike[str] | Mapping[str, Any]) -> Mapping[str, Any]:
    """A mapping as it is, or from a JSON file."""
    return given if isinstance(given, Mapping) else read_json(Path(os.path.expanduser(given)))
