"""Small steps that every writer shares."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from ...home import no_space
from ..base import Sae


def as_stored(sae: Sae, weights: dict[str, Tensor] | None = None) -> dict[str, Tensor]:
    """Weights in the type of the file the SAE came from, where that changes no number; else as they are."""
    short = getattr(torch, sae.cfg.dtype)
    given = sae.weights if weights is None else weights
    return {name: _narrow(weight.cpu(), short) for name, weight in given.items()}


def _narrow(weight: Tensor, dtype: torch.dtype) -> Tensor:
    stored = weight.to(dtype)
    return stored if torch.equal(stored.to(weight.dtype), weight) else weight


def put(tensors: dict[str, Tensor], path: Path) -> None:
    """Tensors into a .safetensors file. Raises NoSpace on a full disk."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    except (SafetensorError, OSError) as error:
        raise no_space(error, path.parent) or error from None


def put_json(document: dict[str, Any], path: Path) -> None:
    """A JSON file. Raises NoSpace on a full disk."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise no_space(error, path.parent) or error from None
