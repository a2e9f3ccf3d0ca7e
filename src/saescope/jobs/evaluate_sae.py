"""How well a trained SAE does on rows that were held out: reconstruction, and what the model loses with it in place."""

import contextlib
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..data.tokens import TokenStore
from ..models.language_model import SIDE_BY_SIDE, LanguageModel
from ..records import Probe
from ..sae.base import Sae
from ..sae.metrics import Reconstruction
from ..training import ce_recovered
from .reading import Reading

_TOKENS = 512
"""Tokens that the whole model runs on at once, or one row: each has as many logits as the vocabulary has tokens."""


@dataclass(frozen=True)
class Spliced:
    """What the model loses when the SAE's reconstruction takes the activation's place."""

    ce_recovered: float | None
    """None where it cannot be said: losses that are equal, or no numbers."""
    kl: float | None
    """Mean KL(model || model with the SAE spliced in) over predicted positions, in nats."""


def reconstruction(sae: Sae, reading: Reading, rows: np.ndarray, hookpoint: str, target: str) -> Probe:
    """FVU, L0 and norm ratio over rows; of a transcoder, of what it writes at `target`."""
    stream = Reconstruction()
    into, out = reading.columns(hookpoint), reading.columns(target)
    for start in range(0, len(rows), 16):
        read = reading.read(rows[start : start + 16])
        for part in read.split(512):
            x = part[:, into]
            stream.update(part[:, out], sae(x), len(sae.active(x).rows))
    return stream.probe()


@torch.no_grad()
def spliced(
    sae: Sae, model: LanguageModel, rows: TokenStore, chosen: np.ndarray, hookpoint: str, target: str, special: bool
) -> Spliced:
    """Cross-entropy recovered and KL with the SAE in place at valid tokens; a crosscoder at each of its places."""
    losses, apart, positions = {"clean": 0.0, "zero": 0.0, "sae": 0.0}, 0.0, 0
    at_once = max(1, _TOKENS // rows.context)
    for start in range(0, len(chosen), at_once):
        part = chosen[start : start + at_once]
        ids = torch.from_numpy(rows.tokens[part].astype(np.int64)).to(model.device)
        valid = torch.from_numpy(rows.valid(part, include_special=special)).to(model.device)
        predicted = torch.from_numpy(rows.valid(part, include_special=False)).to(model.device)[:, 1:]
        x = model.read(ids, [hookpoint])[hookpoint][valid].float()
        written = sae(x).split(model.widths(target), dim=1)
        logits = {
            "clean": model.logits(ids),
            "zero": _edited(model, ids, target, valid, [torch.zeros_like(part) for part in written]),
            "sae": _edited(model, ids, target, valid, list(written)),
        }
        scores = {name: logit[:, :-1][predicted].float().log_softmax(-1) for name, logit in logits.items()}
        wanted = ids[:, 1:][predicted]
        for name, score in scores.items():
            losses[name] += float(torch.nn.functional.nll_loss(score, wanted, reduction="sum"))
        apart += float((scores["clean"].exp() * (scores["clean"] - scores["sae"])).sum())
        positions += len(wanted)
    finite = all(map(math.isfinite, losses.values()))
    said = finite and losses["zero"] != losses["clean"]
    return Spliced(
        ce_recovered(losses["clean"], losses["zero"], losses["sae"]) if said else None,
        apart / positions if finite and positions else None,
    )


def _edited(model: LanguageModel, ids: Tensor, target: str, valid: Tensor, parts: list[Tensor]) -> Tensor:
    """Logits with these rows in place at the valid tokens of each hookpoint."""

    def put(rows: Tensor) -> Any:
        def edit(h: Tensor) -> Tensor:
            h = h.clone()
            h[valid] = rows.to(h.dtype)
            return h

        return edit

    with contextlib.ExitStack() as stack:
        for name, rows in zip(target.split(SIDE_BY_SIDE), parts, strict=True):
            stack.enter_context(model.editing(name, put(rows)))
        return model.logits(ids)
