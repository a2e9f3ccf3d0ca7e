"""dictionary_learning: a folder (trainer_0) with ae.pt, a state dict, and config.json, which names the class.

Its loader divides the decoder of an AutoEncoder by its norms, and so do we: features count in those units. Of its
classes only JumpReluAutoEncoder does not subtract b_dec from the input.
"""

import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ...errors import BadValue
from ...home import no_space
from ..base import Sae, SaeConfig
from .fold import are_unit, centred, uncentred, unit_decoder
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
    read_json,
    section,
    stored_dtype,
    words,
)
from .writing import as_stored, put_json

WEIGHTS, CONFIG = "ae.pt", "config.json"

_LINEAR = {"W_enc": "encoder.weight", "b_enc": "encoder.bias", "W_dec": "decoder.weight"}
_OWN = {name: name for name in ("W_enc", "b_enc", "W_dec", "b_dec")}
_NAMES: dict[str, dict[str, str]] = {
    "AutoEncoder": {**_LINEAR, "b_dec": "bias"},
    "AutoEncoderTopK": {**_LINEAR, "b_dec": "b_dec", "k": "k"},
    "BatchTopKSAE": {**_LINEAR, "b_dec": "b_dec", "threshold": "threshold"},
    "MatryoshkaBatchTopKSAE": {**_OWN, "threshold": "threshold"},
    "JumpReluAutoEncoder": {**_OWN, "threshold": "threshold"},
    "GatedAutoEncoder": {
        "W_enc": "encoder.weight", "W_dec": "decoder.weight", "b_dec": "decoder_bias",
        "b_enc": "gate_bias", "b_mag": "mag_bias", "r_mag": "r_mag",
    },
}  # fmt: skip
"""Class -> our name -> its name."""
_KINDS = {
    "AutoEncoder": "relu", "AutoEncoderTopK": "topk", "BatchTopKSAE": "batchtopk",
    "MatryoshkaBatchTopKSAE": "batchtopk", "JumpReluAutoEncoder": "jumprelu", "GatedAutoEncoder": "gated",
}  # fmt: skip
_SITES = {"resid_pre": "resid_pre", "resid_post": "resid_post", "resid": "resid_post", "mlp_out": "mlp_out",
          "mlp": "mlp_out", "attn_out": "attn_out", "attn": "attn_out", "attention": "attn_out"}  # fmt: skip


_UNSET = "its threshold was never set in training, so every positive pre-activation is active, as in a relu SAE"


def read(found: Found, heads: Heads) -> Reading:
    """Raises BadSource for classes, and for numbers, that do not fit."""
    path = found.config or found.folder / CONFIG
    raw = read_json(path)
    trainer = section(path, raw, "trainer")
    named = one_of(path, trainer, "dict_class", tuple(_NAMES))
    d_in, d_sae = count(path, trainer, "activation_dim"), count(path, trainer, "dict_size")
    kind = _KINDS[named]
    k = count(path, trainer, "k") if kind == "topk" else None
    check_k(path, k, d_sae)
    metadata: dict[str, Any] = {"trainer": words(trainer, "trainer_class")}
    if "k" in trainer and k is None:
        metadata["k"] = trainer["k"]
    if named == "MatryoshkaBatchTopKSAE":
        metadata["group_sizes"] = trainer.get("group_sizes")
    cfg = SaeConfig(
        kind=kind,
        d_in=d_in,
        d_sae=d_sae,
        k=k,
        model=words(trainer, "lm_name"),
        hookpoint=_hookpoint(words(trainer, "submodule_name")),
        apply_b_dec_to_input=named != "JumpReluAutoEncoder",
        metadata=metadata,
        dtype=stored_dtype(heads, _NAMES[named]["W_enc"]),
        origin={"format": "dictionary_learning", "config": raw},
    )
    shapes = _shapes(named, d_in, d_sae)
    if named == "AutoEncoderTopK" and "threshold" in heads:
        shapes["threshold"] = ()
    return Reading(cfg, shapes, partial(_canonical, named, path), ("k", "group_sizes"), frozenset({"k"}))


def _shapes(named: str, d_in: int, d_sae: int) -> dict[str, Shape]:
    linear = "encoder.weight" in _NAMES[named].values()
    ours: dict[str, Shape] = {
        "W_enc": (d_sae, d_in) if linear else (d_in, d_sae),
        "W_dec": (d_in, d_sae) if linear else (d_sae, d_in),
        "b_dec": (d_in,),
        "k": (),
        "threshold": (d_sae,) if named == "JumpReluAutoEncoder" else (),
    }
    return {theirs: ours.get(name, (d_sae,)) for name, theirs in _NAMES[named].items()}


def _canonical(named: str, path: Path, cfg: SaeConfig, weights: Weights) -> tuple[SaeConfig, Weights]:
    ours = {name: weights[theirs] for name, theirs in _NAMES[named].items() if name != "k"}
    if "encoder.weight" in weights:
        ours["W_enc"], ours["W_dec"] = ours["W_enc"].T.contiguous(), ours["W_dec"].T.contiguous()
    if named == "AutoEncoderTopK":
        if int(weights["k"]) != cfg.k:
            raise bad(path, f"k is {cfg.k}, but {int(weights['k'])} in the weights")
        if "threshold" in weights:  # of no account by default, and kept for whoever writes the file back
            cfg = replace(cfg, metadata={**cfg.metadata, "threshold": float(weights["threshold"])})
    if "threshold" in ours and not ours["threshold"].shape:
        if float(ours["threshold"]) < 0:
            cfg = replace(cfg, notes=(_UNSET,))
        ours["threshold"] = ours["threshold"].repeat(cfg.d_sae)
    return cfg, unit_decoder(ours) if named == "AutoEncoder" else ours


def _hookpoint(name: str) -> str:
    """`resid_post_layer_5` as `layers.5.resid_post`; a name of another form is left as it is."""
    match = re.fullmatch(r"([a-z_]+?)_(?:out_)?layer_?(\d+)", name)
    return f"layers.{match[2]}.{_SITES[match[1]]}" if match and match[1] in _SITES else name


# ---- writing ----


def write(sae: Sae, folder: Path) -> None:
    """Write ae.pt and config.json so that dictionary_learning's load_dictionary gives the same features.

    Raises BadValue for the kinds it has no class for.
    """
    named = _class_of(sae)
    weights, subtracts = sae.weights, named != "JumpReluAutoEncoder"
    if subtracts != sae.cfg.apply_b_dec_to_input:
        weights = centred(weights) if subtracts else uncentred(weights)
    state = _state(named, sae, as_stored(sae, weights))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        torch.save(state, folder / WEIGHTS)
    except (RuntimeError, OSError) as error:  # torch says so itself when it cannot write on
        raise no_space(error, folder) or error from None
    put_json(_config(named, sae), folder / CONFIG)


def _class_of(sae: Sae) -> str:
    """The class that computes what this SAE does."""
    cfg = sae.cfg
    if cfg.transcoder or cfg.normalise != "none":
        what = "a transcoder" if cfg.transcoder else f"an SAE that normalises rows ({cfg.normalise})"
        raise BadValue(f"dictionary_learning has no class for {what}", "export it as saelens")
    original = _origin(sae).get("dict_class")
    if original in _KINDS and _KINDS[original] == cfg.kind:
        return original
    classes = {"topk": "AutoEncoderTopK", "gated": "GatedAutoEncoder", "jumprelu": "JumpReluAutoEncoder"}
    if cfg.kind == "relu":
        # its loader divides an AutoEncoder's decoder by the norms, which would change the features' units
        unit = are_unit(sae.weights["W_dec"].norm(dim=1))
        return "AutoEncoder" if cfg.apply_b_dec_to_input and unit else "JumpReluAutoEncoder"
    if cfg.kind == "batchtopk":
        threshold = sae.weights["threshold"]
        return "BatchTopKSAE" if bool((threshold == threshold[0]).all()) else "JumpReluAutoEncoder"
    if cfg.kind in classes:
        return classes[cfg.kind]
    raise BadValue(f"dictionary_learning has no class for the kind {cfg.kind}", "export it as saelens")


def _state(named: str, sae: Sae, weights: Weights) -> Weights:
    """The state dict of a class, in its names and shapes."""
    size = weights["b_enc"].shape[0]
    one = dict(weights)
    if named in ("BatchTopKSAE", "MatryoshkaBatchTopKSAE"):
        one["threshold"] = weights["threshold"][0].clone()
    elif named == "JumpReluAutoEncoder" and "threshold" not in one:
        one["threshold"] = torch.zeros(size)
    state = {theirs: one[ours] for ours, theirs in _NAMES[named].items() if ours != "k"}
    if "encoder.weight" in state:
        for name in ("encoder.weight", "decoder.weight"):
            state[name] = state[name].T.contiguous()
    if named in ("AutoEncoderTopK", "BatchTopKSAE", "MatryoshkaBatchTopKSAE"):
        state["k"] = torch.tensor(_k(sae), dtype=torch.int32)
    if named == "AutoEncoderTopK":
        state["threshold"] = torch.tensor(float(sae.cfg.metadata.get("threshold", -1.0)))
    if named == "MatryoshkaBatchTopKSAE":
        state["group_sizes"] = torch.tensor(_origin(sae).get("group_sizes") or [size])
    return {name: tensor.contiguous() for name, tensor in state.items()}


def _k(sae: Sae) -> int:
    """The k that the class is made with; of a BatchTopK it is what training aimed at, and plays no part afterwards."""
    k = sae.k or sae.cfg.metadata.get("k") or 1
    return max(1, int(k)) if isinstance(k, int | float) else 1


def _config(named: str, sae: Sae) -> dict[str, Any]:
    cfg = sae.cfg
    trainer = {
        "trainer_class": "",
        "submodule_name": cfg.hookpoint,
        "lm_name": cfg.model,
        **_origin(sae),
        "dict_class": named,
        "activation_dim": cfg.d_in,
        "dict_size": cfg.d_sae,
    }
    if named in ("AutoEncoderTopK", "BatchTopKSAE", "MatryoshkaBatchTopKSAE"):
        trainer["k"] = _k(sae)
    if named == "MatryoshkaBatchTopKSAE":
        trainer.setdefault("group_sizes", [cfg.d_sae])
    whole = cfg.origin.get("config") if cfg.origin.get("format") == "dictionary_learning" else {}
    return {**(whole or {}), "trainer": trainer}


def _origin(sae: Sae) -> dict[str, Any]:
    """What the configuration it was read from says of its trainer, where that was one of this library."""
    if sae.cfg.origin.get("format") != "dictionary_learning":
        return {}
    trainer = sae.cfg.origin.get("config", {}).get("trainer")
    return trainer if isinstance(trainer, dict) else {}
