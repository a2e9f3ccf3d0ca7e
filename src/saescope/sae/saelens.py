"""The cfg.json of SAELens, read and written: what each of its keys means in canonical form.

Read: version 6 (a `metadata` block), the flat form of the versions before, and the training form of
batchtopk. What the canonical form cannot hold is refused by name, never approximated.
"""

import json
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from torch import Tensor

from ..errors import BadSource
from .base import Sae, SaeConfig
from .names import hookpoint_name, transformer_lens_name

_LAYOUT = "6.54.12"
"""The SAELens version whose layout is written; without it SAELens takes a file for one from before 6.0."""

_KINDS = {"standard": "relu", "topk": "topk", "jumprelu": "jumprelu", "batchtopk": "batchtopk"}
_BATCH_TOPK = ("batchtopk", "matryoshka_batchtopk")
_OTHERS = (
    "gated", "abstopk", "transcoder", "skip_transcoder", "jumprelu_transcoder", "jumprelu_skip_transcoder",
    "matryoshka_batchtopk", "temporal", "matching_pursuit",
)  # fmt: skip
_CODE_KEYS = ("auto_map", "trust_remote_code", "custom_code")


@dataclass(frozen=True)
class Reading:
    """How to read the weights that lie beside a cfg.json."""

    cfg: SaeConfig
    threshold: str | None
    """Name of the threshold tensor: threshold [d_sae], topk_threshold (one number), or none."""
    fold_norms: bool
    """Whether decoder norms multiply the pre-activations: they are folded into the weights."""
    dtype: str

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Every tensor that must be there, and its shape."""
        d_in, d_sae = self.cfg.d_in, self.cfg.d_sae
        shapes: dict[str, tuple[int, ...]] = {
            "W_enc": (d_in, d_sae), "b_enc": (d_sae,), "W_dec": (d_sae, d_in), "b_dec": (d_in,)
        }  # fmt: skip
        if self.threshold:
            shapes[self.threshold] = () if self.threshold == "topk_threshold" else (d_sae,)
        return shapes


def read_cfg(path: Path) -> Reading:
    """A cfg.json as canonical form has it. Raises BadSource for whatever that cannot hold."""
    raw = _read_json(path)
    for key in _CODE_KEYS:
        if raw.get(key):
            raise _bad(path, f"it asks for code from the checkpoint ({key})", "only weights are ever read")
    metadata = raw.get("metadata")
    if metadata is not None and not isinstance(metadata, dict):
        raise _bad(path, "metadata is not an object")
    if metadata is None or "architecture" not in raw:
        raw, metadata = _from_before_6(path, raw)
    architecture = _architecture(path, raw, metadata)
    kind = _KINDS[architecture]
    if architecture == "jumprelu" and metadata.get("training_architecture") in _BATCH_TOPK:
        kind = "batchtopk"
    d_in, d_sae = _count(path, raw, "d_in"), _count(path, raw, "d_sae")
    k = _count(path, raw, "k") if kind == "topk" else None
    if k is not None and k > d_sae:
        raise _bad(path, f"k is {k}, but there are only {d_sae} features")
    cfg = SaeConfig(
        kind=kind,
        d_in=d_in,
        d_sae=d_sae,
        k=k,
        model=str(metadata.get("model_name") or ""),
        hookpoint=hookpoint_name(str(metadata.get("hook_name") or "")),
        apply_b_dec_to_input=_yes_or_no(path, raw, "apply_b_dec_to_input", True),
        normalise=_normalisation(path, raw),
        metadata=metadata,
    )
    threshold = {"jumprelu": "threshold", "batchtopk": "topk_threshold"}.get(architecture)
    folds = architecture in ("topk", "batchtopk") and _yes_or_no(path, raw, "rescale_acts_by_decoder_norm", False)
    return Reading(cfg, threshold, folds, str(raw.get("dtype") or "float32"))


def fold(reading: Reading, weights: dict[str, Tensor]) -> tuple[SaeConfig, dict[str, Tensor]]:
    """The weights in canonical form: factors that SAELens keeps beside them multiplied in."""
    if reading.threshold == "topk_threshold":
        one = weights.pop("topk_threshold").to(weights["b_enc"].dtype)
        weights["threshold"] = one.repeat(reading.cfg.d_sae)
    if reading.fold_norms:
        norms = weights["W_dec"].norm(dim=1)
        if bool((norms == 0).any()):
            raise BadSource(
                f"{int((norms == 0).sum())} rows of W_dec are zero, and cannot be rescaled to norm 1",
                "an SAE with rescale_acts_by_decoder_norm needs decoder rows that are not zero",
            )
        if not _are_unit(norms):
            weights["W_enc"] = weights["W_enc"] * norms
            weights["b_enc"] = weights["b_enc"] * norms
            weights["W_dec"] = weights["W_dec"] / norms[:, None]
    return reading.cfg, weights


def write_cfg(sae: Sae) -> dict[str, Any]:
    """The cfg.json that SAELens loads; BatchTopK is a jumprelu that says how it was trained."""
    cfg = sae.cfg
    metadata = {
        **cfg.metadata,
        "sae_lens_version": cfg.metadata.get("sae_lens_version") or _LAYOUT,
        "saescope_version": cfg.metadata.get("saescope_version") or _own_version(),
        "model_name": cfg.model,
        "hook_name": transformer_lens_name(cfg.hookpoint),
        "hookpoint": cfg.hookpoint,
    }
    architecture = {"relu": "standard", "batchtopk": "jumprelu"}.get(cfg.kind, cfg.kind)
    if cfg.kind == "batchtopk":
        metadata.setdefault("training_architecture", "batchtopk")
    written: dict[str, Any] = {
        "architecture": architecture,
        "d_in": cfg.d_in,
        "d_sae": cfg.d_sae,
        "dtype": str(sae.W_enc.dtype).removeprefix("torch."),
        "device": "cpu",
        "apply_b_dec_to_input": cfg.apply_b_dec_to_input,
        "normalize_activations": cfg.normalise,
        "reshape_activations": "hook_z" if cfg.hookpoint.endswith("hook_z") else "none",
    }
    if cfg.kind == "topk":
        written["k"] = cfg.k
        # With unit norms both say the same; tools that fold norms refuse a file that says no.
        written["rescale_acts_by_decoder_norm"] = _are_unit(sae.W_dec.norm(dim=1))
    return {**written, "metadata": metadata}


def _are_unit(norms: Tensor) -> bool:
    return bool(((norms - 1).abs() < 1e-5).all())


def _read_json(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > 2**20:
            raise _bad(path, "it is longer than 1 MiB, which no configuration is")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise BadSource(
            f"there is no {path.name} in {str(path.parent)!r}",
            "give a folder with cfg.json and sae_weights.safetensors, as SAELens writes it",
        ) from None
    except OSError as error:
        raise BadSource(f"{str(path)!r} cannot be read: {error.strerror}", "check the path") from None
    except UnicodeDecodeError:
        raise _bad(path, "it is not text") from None
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError):
        raise _bad(path, "it is empty" if not text.strip() else "it is not whole JSON") from None
    if not isinstance(raw, dict):
        raise _bad(path, "it is JSON, but not an object")
    return raw


def _from_before_6(path: Path, raw: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The flat form in the keys of version 6. A TopK then said `standard` and activation_fn_str `topk`."""
    if isinstance(raw.get("metadata"), dict):
        raise _bad(path, "it names no architecture")
    if "activation_fn_str" not in raw and "architecture" not in raw:
        raise _bad(path, "it names neither an architecture nor an activation function")
    metadata = dict(raw)
    metadata.setdefault("hook_name", raw.get("hook_point"))
    raw = {"architecture": "standard", **raw}
    activation = raw.get("activation_fn_str", "relu")
    arguments = raw.get("activation_fn_kwargs") or {}
    if activation == "topk" and isinstance(arguments, dict):
        raw = {**raw, "architecture": "topk", "k": arguments.get("k", raw.get("k"))}
    elif activation != "relu":
        raise _bad(path, f"its activation function {activation!r} is none of relu, topk")
    if isinstance(raw.get("normalize_activations"), bool):
        raw["normalize_activations"] = "expected_average_only_in" if raw["normalize_activations"] else "none"
    if raw.get("finetuning_scaling_factor"):
        raise _bad(path, "finetuning_scaling_factor is not supported")
    return raw, metadata


def _architecture(path: Path, raw: dict[str, Any], metadata: dict[str, Any]) -> str:
    architecture = raw["architecture"]
    if isinstance(architecture, str) and architecture in _KINDS:
        return architecture
    known = ", ".join(_KINDS)
    if architecture in _OTHERS:
        raise _bad(path, f"the architecture {architecture!r} is not supported", f"supported are {known}")
    raise _bad(path, f"the architecture {architecture!r} is unknown", f"known are {known}")


def _normalisation(path: Path, raw: dict[str, Any]) -> Any:
    how = raw.get("normalize_activations") or "none"
    if how in ("none", "layer_norm", "constant_norm_rescale"):
        return how
    why = ", as its factor is not in the weights" if how == "expected_average_only_in" else ""
    raise _bad(
        path,
        f"normalize_activations {how!r} is not supported{why}",
        "save it with SAELens' save_inference_model, which folds such a factor in",
    )


def _count(path: Path, raw: dict[str, Any], key: str) -> int:
    number = raw.get(key)
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise _bad(path, f"{key} must be a positive whole number, not {number!r}")
    return number


def _yes_or_no(path: Path, raw: dict[str, Any], key: str, default: bool) -> bool:
    answer = raw.get(key, default)
    if not isinstance(answer, bool):
        raise _bad(path, f"{key} must be true or false, not {answer!r}")
    return answer


def _own_version() -> str:
    try:
        return version("saescope")
    except PackageNotFoundError:
        return "unknown"


def _bad(path: Path, why: str, hint: str = "give the folder of an SAE that SAELens or saescope wrote") -> BadSource:
    return BadSource(f"{str(path)!r}: {why}", hint)
