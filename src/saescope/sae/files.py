"""SAEs on disk: SAELens' layout, a folder with cfg.json and sae_weights.safetensors.

Sizes, names and shapes are checked against each other before a weight is read; no pickle is ever opened.
"""

import errno
import json
import os
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ..errors import BadSource, Mismatch, NoSpace
from .base import Sae
from .header import read_header
from .kinds import KINDS
from .saelens import Reading, fold, read_cfg, write_cfg

CFG = "cfg.json"
WEIGHTS = "sae_weights.safetensors"


def load_sae(path: str | os.PathLike[str], device: str | torch.device = "cpu", dtype: torch.dtype | None = None) -> Sae:
    """The SAE in a folder (or whose cfg.json or weights are given), in canonical form.

    dtype: the type to hold and compute in; float32 when it is not given, which holds float16 and bfloat16
    exactly. Raises BadSource (not there, damaged, foreign, not supported) and Mismatch (configuration against
    tensors).
    """
    folder = _folder(Path(os.path.expanduser(path)))
    reading = read_cfg(folder / CFG)
    _check_shapes(folder, reading)
    try:
        weights = load_file(folder / WEIGHTS)
    except (SafetensorError, OSError) as error:
        raise BadSource(f"{str(folder / WEIGHTS)!r} cannot be read: {error}", "download or copy it again") from None
    if bool((weights.get("scaling_factor", torch.ones(1)) != 1).any()):
        raise BadSource(
            f"{str(folder / WEIGHTS)!r} holds a scaling_factor that is not 1",
            "such fine-tuned SAEs are not supported",
        )
    weights = {name: weights[name].to(dtype or torch.float32) for name in reading.shapes}
    _check_finite(folder, weights)
    cfg, weights = fold(reading, weights)
    return KINDS[cfg.kind](cfg, weights).to(device)


def save_sae(sae: Sae, folder: str | os.PathLike[str]) -> None:
    """Write an SAE so that SAELens itself would load it; cfg.json comes last, so that a part is no SAE."""
    folder = Path(folder)
    tensors = {name: getattr(sae, name).detach().cpu().contiguous() for name in sae.tensors}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save_file(tensors, folder / WEIGHTS)
        (folder / CFG).write_text(json.dumps(write_cfg(sae), indent=1) + "\n", encoding="utf-8")
    except SafetensorError as error:
        if "os error 28" in str(error) or "No space" in str(error):
            raise _no_space(folder) from None
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise _no_space(folder) from None
        raise


def _folder(path: Path) -> Path:
    """The folder an SAE lies in, from the folder, its cfg.json or its weights."""
    if not path.exists():
        raise BadSource(f"there is no {str(path)!r}", "give the folder of an SAE")
    if path.is_dir():
        return path
    if path.name in (CFG, WEIGHTS):
        return path.parent
    raise BadSource(
        f"{str(path)!r} is not in a known format",
        f"give a folder with {CFG} and {WEIGHTS}, as SAELens writes it",
    )


def _check_shapes(folder: Path, reading: Reading) -> None:
    heads = read_header(folder / WEIGHTS)
    # SAELens before 6 kept a factor that is 1 unless it was fine-tuned, which the configuration would say.
    extra = set(heads) - set(reading.shapes) - {"scaling_factor"}
    missing = set(reading.shapes) - set(heads)
    hint = "the two files do not belong together, or one is damaged"
    if missing:
        raise BadSource(
            f"{str(folder / WEIGHTS)!r} has no tensor {sorted(missing)[0]!r}, which {reading.cfg.kind} needs",
            hint,
        )
    if extra:
        raise BadSource(
            f"{str(folder / WEIGHTS)!r} has a tensor {sorted(extra)[0]!r}, unknown to {reading.cfg.kind}",
            hint,
        )
    for name, shape in reading.shapes.items():
        head = heads[name]
        if head.shape != shape:
            raise Mismatch(
                f"{name} is {list(head.shape)} in {str(folder / WEIGHTS)!r}, but {CFG} says "
                f"d_in {reading.cfg.d_in} and d_sae {reading.cfg.d_sae}: {list(shape)}",
                hint,
            )
        if head.dtype not in ("F64", "F32", "F16", "BF16"):
            raise BadSource(f"{name} in {str(folder / WEIGHTS)!r} is {head.dtype}, no weight type", hint)


def _check_finite(folder: Path, weights: dict[str, Tensor]) -> None:
    for name, tensor in weights.items():
        wrong = ~torch.isfinite(tensor)
        if bool(wrong.any()):
            first = wrong.nonzero()[0].tolist()
            raise BadSource(
                f"{name} in {str(folder / WEIGHTS)!r} holds {int(wrong.sum())} value(s) that are not finite, "
                f"the first at {first}",
                "the SAE is damaged, or its training diverged",
            )


def _no_space(folder: Path) -> NoSpace:
    return NoSpace(f"no space left under {str(folder)!r}", "free some space, or give another folder")
