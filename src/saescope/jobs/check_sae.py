"""`sae check`: does an SAE fit a model's hookpoint, and the likeliest reason when it does not.

The SAE is measured where it is said to read, then in whatever way a usual mistake would put right: at the layers
beside it, scaled or normalised otherwise, on text without a BOS. The mistake whose remedy explains most, and clearly
more than the SAE as it is, is named.
"""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..data.tokens import TokenStore
from ..errors import BadValue, Mismatch, NotFound
from ..models.language_model import LanguageModel
from ..records import Probe, Progress
from ..sae.base import Sae
from ..sae.files import read_sae
from ..sae.fit import Trial, dressed, measure
from ..specs import CheckSae
from ..store import catalogue
from .add_sae import placed
from .context import Context
from .sae_source import sae_source

GOOD = 0.7
"""FVU up to which an SAE is said to fit, if nothing is clearly better; the best of an SAE's kind differ widely."""
CLEARLY = 0.8
"""A remedy counts when it leaves at most this share of the unexplained variance."""
_NEAR = 2
"""Layers to each side that are always tried; all of them are where nothing else explains."""
_DENSE = 0.25
"""Share of all features above which so many active ones mean that an activation function is missing."""


@dataclass(frozen=True)
class _Rows:
    """Token rows, and where in them what is read counts."""

    ids: Tensor
    valid: Tensor
    first: Tensor
    """The BOS of each row."""


def run(spec: CheckSae, context: Context) -> dict[str, Any]:
    """Measure, try the remedies, and say what was found."""
    dataset = catalogue.dataset(context.db, spec.dataset)
    _, model = context.model(spec.model)
    name, sae = _sae(spec, model, context)
    hookpoint = sae.cfg.hookpoint
    rows = _rows(context.tokens(dataset, model, spec.context), spec.samples, model)
    context.tell(Progress("reading", 0, None, "tokens", hookpoint))
    near = _layers(model, hookpoint, _NEAR)
    leaving = sae.cfg.hookpoint_out or hookpoint
    read = model.read(rows.ids, list(dict.fromkeys([hookpoint, leaving, *near])))
    x, y = read[hookpoint], read[leaving]
    if not bool(torch.isfinite(x[rows.valid]).all()):
        return _not_finite(spec, name, sae, model, x, rows)
    found = measure(sae, x[rows.valid], y[rows.valid])
    tried = [("layer", trial) for trial in _elsewhere(sae, {point: read[point] for point in near}, rows)]
    if not sae.cfg.transcoder and found.fvu > GOOD / 2:
        context.tell(Progress("trying", 0, None, "tokens", "normalisations"))
        tried += [("normalisation", trial) for trial in dressed(sae, x[rows.valid])]
    tried.append(("bos", _without_bos(sae, model, rows)))
    if not _better(found, tried) and not found.fvu < GOOD and not sae.cfg.transcoder:
        context.tell(Progress("trying", 0, None, "tokens", "every hookpoint"))
        tried += [("layer", trial) for trial in _everywhere(sae, model, rows, {hookpoint, *near})]
    reason, trial = _verdict(found, tried, sae, model)
    return {
        "sae": name,
        "model": spec.model,
        "dataset": spec.dataset,
        "hookpoint": hookpoint,
        "hookpoint_out": sae.cfg.hookpoint_out or None,
        "tokens": found.tokens,
        "fits": reason is None,
        "reason": reason,
        "verdict": _words(reason, trial, found, sae, model),
        "fvu": found.fvu,
        "l0": found.l0,
        "norm_ratio": found.norm_ratio,
        "bos": _bos(sae, x, y, rows),
        "notes": list(sae.cfg.notes),
        "tried": [{"reason": why, "what": each.what} | _figures(each.probe) for why, each in tried],
    }


# ---- what is checked, and on what ----


def _sae(spec: CheckSae, model: LanguageModel, context: Context) -> tuple[str, Sae]:
    """An SAE of the home, or one that is read from its source; at the hookpoint asked for or its own."""
    try:
        record, sae = context.sae(spec.sae)
        name, said = record.name, record.hookpoint
        sae = type(sae)(sae.cfg, sae.weights)  # the loaded one keeps its own hookpoint
    except NotFound:
        if not spec.sae.startswith("hf:") and "/" not in spec.sae and not _is_file(spec.sae):
            raise
        source = sae_source(spec.sae, context)
        sae, name, said = read_sae(source.path, device=context.device), source.pinned, None
    placed(sae, model, spec.hookpoint or said, None, context)
    widths = model.hookpoints
    if widths[sae.cfg.hookpoint] != sae.d_in:
        fitting = sorted({point.rpartition(".")[2] for point, width in widths.items() if width == sae.d_in})
        raise Mismatch(
            f"SAE {name!r} reads {sae.d_in} numbers, and {sae.cfg.hookpoint} of model {spec.model!r} has "
            f"{widths[sae.cfg.hookpoint]}",
            f"{sae.d_in} numbers have: {', '.join(fitting)}" if fitting else "it is an SAE of another model",
        )
    return name, sae


def _is_file(text: str) -> bool:
    return Path(text).expanduser().exists()


def _rows(store: TokenStore, samples: int, model: LanguageModel) -> _Rows:
    block = slice(0, min(samples, store.samples))
    ids = torch.from_numpy(store.tokens[block].astype("int64")).to(model.device)
    valid = torch.from_numpy(store.valid(block, include_special=False)).to(model.device)
    if not bool(valid.any()):
        raise BadValue("the dataset's first rows hold no token that counts", "give a dataset with more text")
    first = torch.zeros_like(valid)
    first[:, 0] = True
    return _Rows(ids, valid, first)


def _layers(model: LanguageModel, hookpoint: str, reach: int) -> list[str]:
    """The same place in the layers around; the embedding below the first."""
    match = re.fullmatch(r"layers\.(\d+)\.(\w+)", hookpoint)
    if not match:
        return []
    own = int(match[1])
    names = [f"layers.{layer}.{match[2]}" for layer in range(own - reach, own + reach + 1) if layer != own]
    return [name for name in names if name in model.hookpoints]


# ---- remedies ----


def _elsewhere(sae: Sae, read: dict[str, Tensor], rows: _Rows) -> list[Trial]:
    """The SAE on what other hookpoints hold; a transcoder is given those and should write what it reads there."""
    if sae.cfg.transcoder:
        return []
    return [Trial(point, measure(sae, x[rows.valid])) for point, x in read.items()]


def _everywhere(sae: Sae, model: LanguageModel, rows: _Rows, done: set[str]) -> list[Trial]:
    """Every other hookpoint of the same width, on a quarter of the rows."""
    few = _Rows(*(part[: max(1, len(part) // 4)] for part in (rows.ids, rows.valid, rows.first)))
    points = [point for point, width in model.hookpoints.items() if width == sae.d_in and point not in done]
    # what enters a layer is what left the one before
    points = [point for point in points if not point.endswith("resid_pre") or point == "layers.0.resid_pre"]
    return _elsewhere(sae, model.read(few.ids, points), few) if points and bool(few.valid.any()) else []


def _without_bos(sae: Sae, model: LanguageModel, rows: _Rows) -> Trial:
    """The SAE on the same text when no BOS stands in front of it."""
    entering, leaving = sae.cfg.hookpoint, sae.cfg.hookpoint_out or sae.cfg.hookpoint
    read = model.read(rows.ids[:, 1:], list(dict.fromkeys([entering, leaving])))
    valid = rows.valid[:, 1:].clone()
    valid[:, 0] = False  # the first token is now the attention sink
    found = measure(sae, read[entering][valid], read[leaving][valid])
    return Trial("text without a BOS in front", found)


# ---- what follows from it ----


def _better(found: Probe, tried: list[tuple[str, Trial]]) -> list[tuple[str, Trial]]:
    """The remedies that explain clearly more than the SAE as it is, best first."""
    limit = found.fvu * CLEARLY if math.isfinite(found.fvu) else math.inf
    good = [each for each in tried if each[1].probe.fvu < min(limit, 1.0)]
    return sorted(good, key=lambda each: each[1].probe.fvu)


def _verdict(
    found: Probe, tried: list[tuple[str, Trial]], sae: Sae, model: LanguageModel
) -> tuple[str | None, Trial | None]:
    better = _better(found, tried)
    if better:
        return better[0]
    if found.fvu < GOOD:
        return None, None
    if found.l0 > _DENSE * sae.d_sae:
        return "activation", None
    if model.quantize != "none" or model.dtype in (torch.float16, torch.bfloat16):
        return "dtype", None
    return "unknown", None


def _words(reason: str | None, trial: Trial | None, found: Probe, sae: Sae, model: LanguageModel) -> str:
    """The finding in a sentence or two, and what to do."""
    explained = f"it leaves {_share(found.fvu)} of the variance unexplained here"
    than = f"{_share(trial.probe.fvu)} unexplained against {_share(found.fvu)}" if trial else ""
    match reason:
        case None:
            return f"it fits: {_share(found.fvu)} of the variance is unexplained, and nothing that was tried is better"
        case "layer":
            assert trial is not None
            return f"wrong layer: it fits {trial.what} better ({than}); add it with --hookpoint {trial.what}"
        case "normalisation":
            assert trial is not None
            remedy = f"; add it with --scale {trial.scale:.4g}" if trial.scale else ""
            return f"missing normalisation: it fits with {trial.what} ({than}){remedy}"
        case "bos":
            return f"BOS: it fits text without a BOS in front better ({than}); it was trained without one"
        case "activation":
            return (
                f"activation function: {found.l0:.0f} of {sae.d_sae} features are active, where a sparse autoencoder "
                f"has far fewer, and {explained}; a top-k or a threshold is missing, or its kind is another"
            )
        case "dtype":
            how = model.quantize if model.quantize != "none" else str(model.dtype).removeprefix("torch.")
            return (
                f"{explained}, and nothing that was tried is better; the model runs in {how}: add it again with "
                "--dtype float32 and check once more"
            )
        case _:
            return f"{explained}, and nothing that was tried is better: it is likely an SAE of another model"


def _share(fvu: float) -> str:
    return f"{fvu:.1%}" if fvu < 10 else f"{fvu:.3g} times"


def _figures(probe: Probe) -> dict[str, float]:
    return {"fvu": probe.fvu, "l0": probe.l0, "norm_ratio": probe.norm_ratio}


def _bos(sae: Sae, x: Tensor, y: Tensor, rows: _Rows) -> dict[str, Any]:
    """What the SAE makes of the first position, which is left out everywhere else."""
    first, rest = x[rows.first].float(), x[rows.valid].float()
    reconstructed = sae(first)
    error = (y[rows.first].float() - reconstructed).norm(dim=1) / y[rows.first].float().norm(dim=1).clamp(min=1e-12)
    return {
        "norm": float(first.norm(dim=1).median()),
        "median_norm": float(rest.norm(dim=1).median()),
        "l0": len(sae.active(first).rows) / len(first),
        "relative_error": float(error.mean()),
        "counted": False,
    }


def _not_finite(spec: CheckSae, name: str, sae: Sae, model: LanguageModel, x: Tensor, rows: _Rows) -> dict[str, Any]:
    """Activations that overflowed: nothing can be measured, and the reason is plain."""
    bad = int((~torch.isfinite(x[rows.valid]).all(1)).sum())
    dtype = str(model.dtype).removeprefix("torch.")
    return {
        "sae": name,
        "model": spec.model,
        "dataset": spec.dataset,
        "hookpoint": sae.cfg.hookpoint,
        "hookpoint_out": sae.cfg.hookpoint_out or None,
        "tokens": int(rows.valid.sum()),
        "fits": False,
        "reason": "dtype",
        "verdict": f"dtype: the model's activations are not finite at {bad} tokens in {dtype}; add the model again "
        "with --dtype float32 or bfloat16",
        "fvu": None,
        "l0": None,
        "norm_ratio": None,
        "bos": None,
        "notes": list(sae.cfg.notes),
        "tried": [],
    }
