"""SAEs on disk, in any format that is known: read into canonical form, kept in a home, written for other libraries.

Names, shapes and sizes are checked against each other before a weight is read, and every weight before it is used.
Nothing is ever unpickled: a .pt is read by a reader of ours that executes nothing (`torch_file.py`).
"""

import logging
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import BadSource, BadValue, Mismatch
from .base import Sae, SaeConfig
from .formats import READERS, WRITERS
from .formats.detect import locate
from .formats.fold import scale_input
from .formats.mapping import as_mapping
from .formats.reading import Found, Heads, Reading, Weights
from .formats.saelens import CFG, WEIGHTS, write_home
from .header import one_line
from .kinds import KINDS
from .weights import FLOATS, read_weights, weight_heads

EXPORTS = tuple(WRITERS)
"""Formats that an SAE can be written in."""

__all__ = ["CFG", "EXPORTS", "WEIGHTS", "export_sae", "load_sae", "read_sae", "save_sae"]

_LOG = logging.getLogger("saescope")


def load_sae(
    path: str | os.PathLike[str],
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
    *,
    format: str = "auto",
    mapping: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    scale: float | None = None,
) -> Sae:
    """The SAE in a folder, or one of whose files is given, in canonical form; what its files leave open is logged.

    dtype: the type to hold and compute in; float32 when it is not given, which holds float16 and bfloat16
    exactly. mapping: for plain tensors, which is which (see `formats/mapping.py`). scale: what activations were
    multiplied with in training, where the files do not say it. Raises BadSource (not there, damaged, foreign, not
    supported) and Mismatch (configuration against tensors).
    """
    sae = read_sae(path, device, dtype, format=format, mapping=mapping, scale=scale)
    for note in sae.cfg.notes:
        _LOG.warning("%s: %s", path, note)
    return sae


def read_sae(
    path: str | os.PathLike[str],
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
    *,
    format: str = "auto",
    mapping: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    scale: float | None = None,
) -> Sae:
    """`load_sae`, leaving it to the caller to tell what `cfg.notes` says."""
    found = _found(Path(os.path.expanduser(path)), format, mapping)
    heads = weight_heads(found.weights)
    reading = READERS[found.format](found, heads)
    _check_heads(found.weights, heads, reading)
    weights = _numbers(found.weights, reading)
    cfg, weights = reading.canonical(reading.cfg, weights)
    if scale is not None:
        cfg, weights = replace(cfg, notes=()), _scaled(cfg, weights, scale)
    for name, weight in weights.items():  # a factor beside the weights may be beyond all measure
        _check_finite(found.weights, name, weight)
    weights = {name: weights[name].to(dtype or torch.float32) for name in KINDS[cfg.kind].shapes(cfg)}
    return KINDS[cfg.kind](cfg, weights).to(device)


def save_sae(sae: Sae, folder: str | os.PathLike[str]) -> None:
    """Write an SAE as a home keeps it: in SAELens' layout, with what SAELens has no words for beside it."""
    write_home(sae, Path(folder))


def export_sae(sae: Sae, folder: str | os.PathLike[str], format: str = "saelens") -> None:
    """Write an SAE so that another library loads it and gives the same features. BadValue where it cannot."""
    if format not in WRITERS:
        raise BadValue(f"unknown format {format!r}", f"formats: {', '.join(WRITERS)}")
    WRITERS[format](sae, Path(folder))


def _found(path: Path, format: str, mapping: str | os.PathLike[str] | Mapping[str, Any] | None) -> Found:
    if mapping is not None:
        if not path.is_file():
            raise BadSource(f"{str(path)!r} is no file", "a mapping is for one .safetensors or .npz file")
        return Found("mapping", path.parent, path, mapping=as_mapping(mapping))
    found = locate(path)
    if format not in ("auto", found.format):
        if format not in READERS:
            raise BadValue(f"unknown format {format!r}", f"formats: {', '.join(READERS)}")
        raise BadSource(f"{str(path)!r} looks like {found.format}, not like {format}", "leave --format away")
    return found


def _check_heads(path: Path, heads: Heads, reading: Reading) -> None:
    """Every tensor that is needed is there, of the right shape and type, and no other that could mean something."""
    cfg, hint = reading.cfg, "the files do not belong together, or one is damaged"
    missing = sorted(set(reading.shapes) - set(heads))
    if missing:
        raise BadSource(f"{str(path)!r} has no tensor {one_line(repr(missing[0]))}, which {cfg.kind} needs", hint)
    extra = sorted(set(heads) - set(reading.shapes))
    extra = [name for name in extra if not name.startswith(reading.ignored)]
    if extra:
        raise BadSource(f"{str(path)!r} has a tensor {extra[0][:80]!r}, unknown to {cfg.kind}", hint)
    for name, shape in reading.shapes.items():
        head = heads[name]
        if head.shape != shape:
            raise Mismatch(
                f"{one_line(name)} is {list(head.shape)} in {str(path)!r}, but with d_in {cfg.d_in} and d_sae "
                f"{cfg.d_sae} it should be {list(shape)}",
                hint,
            )
        if head.dtype not in FLOATS and name not in reading.integers:
            raise BadSource(f"{one_line(name)} in {str(path)!r} is {head.dtype}, no weight type", hint)


def _numbers(path: Path, reading: Reading) -> Weights:
    """The tensors, all finite, in float32 (whole numbers as they are)."""
    weights = read_weights(path, reading.shapes)
    for name, tensor in weights.items():
        if name not in reading.integers:
            weights[name] = tensor.float()
            _check_finite(path, name, weights[name])
    return weights


def _check_finite(path: Path, name: str, tensor: Tensor) -> None:
    if bool(torch.isfinite(tensor).all()):
        return
    wrong = ~torch.isfinite(tensor)
    raise BadSource(
        f"{one_line(name)} in {str(path)!r} holds {int(wrong.sum())} value(s) that are not finite, the first at "
        f"{wrong.nonzero()[0].tolist()}",
        "the SAE is damaged, or its training diverged",
    )


def _scaled(cfg: SaeConfig, weights: Weights, scale: float) -> Weights:
    """The weights for activations as they are, where it was trained on `scale` times them."""
    if not 0 < scale < float("inf"):
        raise BadValue(f"scale is {scale:g}", "give a number above 0")
    if cfg.normalise != "none":
        raise BadValue(f"an SAE that normalises rows ({cfg.normalise}) has no scale besides", "leave --scale away")
    return scale_input(weights, scale)
