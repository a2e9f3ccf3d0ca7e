"""SAELens: a folder with cfg.json and sae_weights.safetensors. It is also how SAEs are kept in a home.

Read: version 6 (a `metadata` block), the flat form of the versions before, inference and training forms, and a
trainer's checkpoint with the factor or the whitening that lies beside it. What canonical form cannot hold is
refused by name, never approximated.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from ...errors import BadSource, BadValue, Mismatch
from ..base import Sae, SaeConfig
from ..header import read_header
from ..kinds import COUNTED, KINDS
from ..names import hookpoint_name, transformer_lens_name
from ..weights import FLOATS, read_weights
from .fold import are_unit, scale_input, unit_decoder, unwhiten
from .reading import (
    Found,
    Heads,
    Reading,
    Shape,
    Weights,
    bad,
    check_k,
    count,
    positive,
    read_json,
    section,
    stored_dtype,
    words,
    yes_or_no,
)
from .writing import as_stored, put, put_json

CFG = "cfg.json"
WEIGHTS = "sae_weights.safetensors"
SCALER = "activation_scaler.json"
WHITENING = "activation_whitening.safetensors"

_LAYOUT = "6.54.12"
"""The SAELens version whose layout is written; without it SAELens takes a file for one from before 6.0."""

_KINDS = {
    "standard": "relu", "topk": "topk", "jumprelu": "jumprelu", "gated": "gated", "abstopk": "abstopk",
    "batchtopk": "batchtopk", "matryoshka_batchtopk": "batchtopk",
    "transcoder": "relu", "skip_transcoder": "relu",
    "jumprelu_transcoder": "jumprelu", "jumprelu_skip_transcoder": "jumprelu",
}  # fmt: skip
_BATCH_TOPK = ("batchtopk", "matryoshka_batchtopk")
_OTHERS = ("temporal", "matching_pursuit")
_NORMALISATIONS = (
    "none", "layer_norm", "constant_norm_rescale", "expected_average_only_in", "covariance_whitening"
)  # fmt: skip
_OURS = "saescope:"
"""Before the name of an architecture that SAELens does not have: such a file is one of a home."""

Fold = Callable[[Weights], Weights]


def read(found: Found, heads: Heads) -> Reading:
    """A cfg.json as canonical form has it. Raises BadSource for whatever that cannot hold."""
    path = found.config or found.folder / CFG
    raw = read_json(path)
    whole = raw
    metadata = section(path, raw, "metadata") if raw.get("metadata") is not None else None
    if metadata is None or "architecture" not in raw:
        raw, metadata = _from_before_6(path, raw)
    architecture = _architecture(path, raw)
    kind, transcoder, skip = _form(path, architecture)
    training = architecture in _BATCH_TOPK
    if kind == "jumprelu" and metadata.get("training_architecture") in _BATCH_TOPK:
        kind = "batchtopk"
    d_in, d_sae = count(path, raw, "d_in"), count(path, raw, "d_sae")
    k = count(path, raw, "k") if kind in COUNTED else None
    check_k(path, k, d_sae)
    normalise = _normalisation(path, raw)
    kept = section(path, metadata, "saescope")
    cfg = SaeConfig(
        kind=kind,
        d_in=d_in,
        d_sae=d_sae,
        k=k,
        model=words(metadata, "model_name"),
        hookpoint=hookpoint_name(words(metadata, "hook_name")),
        apply_b_dec_to_input=yes_or_no(path, raw, "apply_b_dec_to_input", not transcoder),
        normalise=normalise if normalise in ("layer_norm", "constant_norm_rescale") else "none",
        metadata={name: value for name, value in metadata.items() if name != "saescope"},
        d_out=count(path, raw, "d_out") if transcoder else None,
        skip=skip,
        hookpoint_out=hookpoint_name(words(metadata, "hook_name_out")) if transcoder else "",
        dtype=stored_dtype(heads, "W_enc"),
        origin=section(path, kept, "origin") or _first_origin(metadata, whole),
        notes=_kept_notes(kept),
    )
    _check_transcoder(path, cfg, normalise)
    shapes = KINDS[kind].shapes(cfg)
    if kind == "gated":
        shapes = {"b_gate" if name == "b_enc" else name: shape for name, shape in shapes.items()}
    if training:
        shapes = {name: shape for name, shape in shapes.items() if name != "threshold"} | {"topk_threshold": ()}
    rescaled = architecture in ("topk", "abstopk", *_BATCH_TOPK)
    folds = rescaled and yes_or_no(path, raw, "rescale_acts_by_decoder_norm", False)
    cfg, normal = _beside(found.folder, cfg, normalise)
    # SAELens before 6 kept a factor that is 1 unless it was fine-tuned, which the configuration would say.
    factor: dict[str, Shape] = {"scaling_factor": heads["scaling_factor"].shape} if "scaling_factor" in heads else {}
    return Reading(cfg, shapes | factor, partial(_canonical, found.weights, normal, folds))


def _canonical(path: Path, normal: Fold, folds: bool, cfg: SaeConfig, weights: Weights) -> tuple[SaeConfig, Weights]:
    """The weights in canonical form: factors that SAELens keeps beside them multiplied in."""
    factor = weights.pop("scaling_factor", torch.ones(1))
    if bool((factor != 1).any()):
        raise BadSource(f"{str(path)!r} holds a scaling_factor that is not 1", "such fine-tuned SAEs are not supported")
    if "b_gate" in weights:
        weights["b_enc"] = weights.pop("b_gate")
    limit = weights.pop("topk_threshold", None)
    weights = unit_decoder(weights) if folds else weights
    if limit is not None:  # it is compared with features that count in units of the decoder's norm already
        weights["threshold"] = torch.full_like(weights["b_enc"], float(limit))
    return cfg, normal(weights)


# ---- factors beside the weights ----


def _beside(folder: Path, cfg: SaeConfig, normalise: str) -> tuple[SaeConfig, Fold]:
    """What a checkpoint's normalisation does to its weights, and the configuration with what is left to say."""
    if normalise == "covariance_whitening":
        path = folder / WHITENING
        shapes: dict[str, Shape] = {"mean": (cfg.d_in,), "matrix": (cfg.d_in,) * 2, "inverse_matrix": (cfg.d_in,) * 2}
        heads = read_header(path)
        for name, shape in shapes.items():
            if name not in heads or heads[name].shape != shape or heads[name].dtype not in FLOATS:
                raise Mismatch(
                    f"{str(path)!r} should hold {name} {list(shape)}", "give the checkpoint folder as SAELens wrote it"
                )
        return _settled(cfg), partial(_unwhitened, path, cfg.apply_b_dec_to_input)
    if normalise != "expected_average_only_in":
        return cfg, _as_it_is
    path = folder / SCALER
    raw = read_json(path) if path.is_file() else {}
    if raw.get("scaling_factor") is not None:
        return _settled(cfg), partial(scale_input, into=positive(path, raw, "scaling_factor"))
    missing = (
        "it was trained on activations scaled to a mean norm of sqrt(d_in) (expected_average_only_in), and the factor "
        "is not in its files: activations are taken as they are"
    )
    return replace(cfg, notes=(*cfg.notes, missing)), _as_it_is


def _settled(cfg: SaeConfig) -> SaeConfig:
    """The configuration once its factor is in the weights."""
    return replace(cfg, origin={**cfg.origin, "config": {**cfg.origin["config"], "normalize_activations": "none"}})


def _as_it_is(weights: Weights) -> Weights:
    return weights


def _unwhitened(path: Path, apply_b_dec_to_input: bool, weights: Weights) -> Weights:
    parts = read_weights(path, ("mean", "matrix", "inverse_matrix"))
    for name, part in parts.items():
        if not bool(torch.isfinite(part).all()):
            raise BadSource(f"{name} in {str(path)!r} is not finite", "the checkpoint is damaged")
    return unwhiten(weights, *parts.values(), apply_b_dec_to_input=apply_b_dec_to_input)


# ---- the keys of cfg.json ----


def _from_before_6(path: Path, raw: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The flat form in the keys of version 6. A TopK then said `standard` and activation_fn_str `topk`."""
    if isinstance(raw.get("metadata"), dict):
        raise bad(path, "it names no architecture")
    if "activation_fn_str" not in raw and "architecture" not in raw:
        raise bad(path, "it names neither an architecture nor an activation function")
    metadata = dict(raw)
    metadata.setdefault("hook_name", raw.get("hook_point"))
    raw = {"architecture": "standard", **raw}
    activation = raw.get("activation_fn_str", "relu")
    arguments = raw.get("activation_fn_kwargs") or {}
    if activation == "topk" and isinstance(arguments, dict):
        raw = {**raw, "architecture": "topk", "k": arguments.get("k", raw.get("k"))}
    elif activation != "relu":
        raise bad(path, f"its activation function {str(activation)[:80]!r} is none of relu, topk")
    if isinstance(raw.get("normalize_activations"), bool):
        raw["normalize_activations"] = "expected_average_only_in" if raw["normalize_activations"] else "none"
    if raw.get("finetuning_scaling_factor"):
        raise bad(path, "finetuning_scaling_factor is not supported")
    return raw, metadata


def _architecture(path: Path, raw: dict[str, Any]) -> str:
    architecture = raw["architecture"]
    known = ", ".join(_KINDS)
    if not isinstance(architecture, str):
        raise bad(path, "its architecture is not a word", f"known are {known}")
    if architecture in _KINDS or architecture.startswith(_OURS):
        return architecture
    if architecture in _OTHERS:
        raise bad(path, f"the architecture {architecture!r} is not supported", f"supported are {known}")
    raise bad(path, f"the architecture {architecture[:80]!r} is unknown", f"known are {known}")


def _form(path: Path, architecture: str) -> tuple[str, bool, bool]:
    """Kind, whether it is a transcoder, and whether that has a skip."""
    transcoder, skip = architecture.endswith("transcoder"), architecture.endswith("skip_transcoder")
    if not architecture.startswith(_OURS):
        return _KINDS[architecture], transcoder, skip
    kind = architecture.removeprefix(_OURS).removesuffix("_transcoder").removesuffix("_skip")
    if kind not in KINDS:
        raise bad(path, f"the architecture {architecture[:80]!r} is unknown", "it was written by a newer saescope")
    return kind, transcoder, skip


def _normalisation(path: Path, raw: dict[str, Any]) -> str:
    how = raw.get("normalize_activations") or "none"
    if how not in _NORMALISATIONS:
        raise bad(
            path,
            f"normalize_activations {str(how)[:80]!r} is not supported",
            f"supported are {', '.join(_NORMALISATIONS)}",
        )
    return how


def _check_transcoder(path: Path, cfg: SaeConfig, normalise: str) -> None:
    """What would mean nothing for something that writes elsewhere than it reads."""
    if not cfg.transcoder:
        return
    if cfg.apply_b_dec_to_input:
        raise bad(path, "apply_b_dec_to_input is true, but a transcoder's b_dec is of what it writes")
    if normalise != "none":
        raise bad(path, f"a transcoder with normalize_activations {normalise!r} is not supported")


def _first_origin(metadata: dict[str, Any], whole: dict[str, Any]) -> dict[str, Any]:
    """Where a file comes from that says nothing of it: from here, or from SAELens."""
    return {} if "saescope_version" in metadata else {"format": "saelens", "config": whole}


def _kept_notes(kept: dict[str, Any]) -> tuple[str, ...]:
    notes = kept.get("notes")
    return tuple(str(note) for note in notes) if isinstance(notes, list) else ()


# ---- writing ----


def write(sae: Sae, folder: Path) -> None:
    """Write an SAE so that SAELens itself loads it. BadValue for what SAELens has no architecture for."""
    if _architecture_of(sae.cfg).startswith(_OURS):
        what = "transcoder" if sae.cfg.transcoder else "SAE"
        raise BadValue(f"SAELens has no architecture for a {sae.kind} {what}", "export it in another format")
    weights, origin = _tensors(sae), _origin(sae.cfg)
    cfg = _document(sae, weights)
    if origin.get("normalize_activations") == "expected_average_only_in":  # its factor is as unknown as it was
        cfg["normalize_activations"] = "expected_average_only_in"
    if origin.get("architecture") == cfg["architecture"]:
        cfg = {**origin, **cfg}
    put(weights, folder / WEIGHTS)
    put_json(cfg, folder / CFG)


def write_home(sae: Sae, folder: Path) -> None:
    """Write an SAE with all that is known of it; what SAELens has no architecture for gets a name of ours.

    cfg.json comes last, so that a part is no SAE.
    """
    weights = _tensors(sae)
    cfg = _document(sae, weights)
    kept = {"origin": dict(sae.cfg.origin), "notes": list(sae.cfg.notes)}
    if any(kept.values()):
        cfg["metadata"]["saescope"] = {name: value for name, value in kept.items() if value}
    put(weights, folder / WEIGHTS)
    put_json(cfg, folder / CFG)


def _tensors(sae: Sae) -> Weights:
    weights = as_stored(sae)
    return {"b_gate" if sae.kind == "gated" and name == "b_enc" else name: tensor for name, tensor in weights.items()}


def _origin(cfg: SaeConfig) -> dict[str, Any]:
    """The cfg.json it was read from, where that was one of SAELens 6."""
    config = cfg.origin.get("config") if cfg.origin.get("format") == "saelens" else None
    return config if isinstance(config, dict) and isinstance(config.get("metadata"), dict) else {}


def _architecture_of(cfg: SaeConfig) -> str:
    """SAELens' name for a form, or one of ours."""
    base = {"relu": "standard", "batchtopk": "jumprelu"}.get(cfg.kind, cfg.kind)
    named = base
    if cfg.transcoder:
        parts = ["" if base == "standard" else base, "skip" if cfg.skip else "", "transcoder"]
        named = "_".join(part for part in parts if part)
    return named if named in _KINDS else _OURS + named


def _document(sae: Sae, weights: Weights) -> dict[str, Any]:
    """The cfg.json; BatchTopK is a jumprelu that says how it was trained."""
    cfg = sae.cfg
    metadata = {
        **cfg.metadata,
        "sae_lens_version": cfg.metadata.get("sae_lens_version") or _LAYOUT,
        "saescope_version": cfg.metadata.get("saescope_version") or _own_version(),
        "model_name": cfg.model,
        "hook_name": transformer_lens_name(cfg.hookpoint),
        "hookpoint": cfg.hookpoint,
    }
    if cfg.kind == "batchtopk":
        metadata.setdefault("training_architecture", "batchtopk")
    if cfg.transcoder:
        metadata["hook_name_out"] = transformer_lens_name(cfg.hookpoint_out)
        metadata["hookpoint_out"] = cfg.hookpoint_out
    written: dict[str, Any] = {
        "architecture": _architecture_of(cfg),
        "d_in": cfg.d_in,
        "d_sae": cfg.d_sae,
        "dtype": str(weights["W_enc"].dtype).removeprefix("torch."),
        "device": "cpu",
        "apply_b_dec_to_input": cfg.apply_b_dec_to_input,
        "normalize_activations": cfg.normalise,
        "reshape_activations": "hook_z" if cfg.hookpoint.endswith("hook_z") else "none",
    }
    if cfg.transcoder:
        written["d_out"] = cfg.d_out
    if cfg.kind in COUNTED:
        written["k"] = cfg.k
    if cfg.kind in ("topk", "abstopk"):
        # With unit norms both say the same; tools that fold norms refuse a file that says no.
        written["rescale_acts_by_decoder_norm"] = are_unit(sae.W_dec.norm(dim=1))
    return {**written, "metadata": metadata}


def _own_version() -> str:
    try:
        return version("saescope")
    except PackageNotFoundError:
        return "unknown"
