"""Edits to features, as a function of the residual stream.

With f = encode(h) and f' the edited features, the new residual is h + dec(f') - dec(f): the SAE's own
reconstruction error stays in it untouched, and where nothing changes h is handed back bit for bit.

    add     f' = f + amount          set   f' = amount          min   f' = max(f, amount)
    scale   f' = f * amount          ablate   f' = 0, and then as much more as `silence` needs

An amount counts in the feature's own units (`raw`), in multiples of its largest activation (`max`), or in
multiples of the residual's norm (`norm`: what the feature contributes to the residual, its value times its
decoder row, is then that long; for add it is the length of what is added).

A transcoder's features are read where it reads, and the change is added where it writes.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..errors import BadValue, Mismatch, NotFound
from ..sae.base import Sae
from ..specs import Edit
from .silence import silence

Where = Literal["all", "prompt", "generated"]

ROWS = 512
"""Positions encoded at once: dense features exist for so many rows only."""


class FeatureEdits:
    """A function from h [batch pos d_in] to the edited h, for `LanguageModel.editing`.

    It counts the positions it has seen, because a KV cache shows it only the new ones: `begin` starts a
    new run. The first position is never edited: it is an attention sink, whose norm can be a hundred
    times the others'.
    """

    def __init__(self, sae: Sae, edits: Sequence[Edit], maxima: Mapping[int, float], *, where: Where = "all") -> None:
        """`maxima` is the largest activation of each feature, for the unit `max`.

        Raises NotFound for a feature the SAE has not, BadValue for two edits of one feature and for the unit
        `max` where the largest activation is not known or zero.
        """
        self.sae = sae
        self.edits = tuple(edits)
        self.where = where
        self._amounts = [_in_own_units(edit, maxima) for edit in self.edits]
        self._features = torch.tensor([edit.feature for edit in self.edits], dtype=torch.long)
        self._ablated = torch.tensor([e.feature for e in self.edits if e.mode == "ablate"], dtype=torch.long)
        _check(sae, [edit.feature for edit in self.edits])
        self.begin()

    def begin(self, prompt_length: int | None = None) -> None:
        """Start a run; its prompt is the first `prompt_length` positions, or what the first call shows."""
        self._seen = 0
        self._prompt: int | None = prompt_length

    def __call__(self, h: Float[Tensor, "batch pos d_in"]) -> Float[Tensor, "batch pos d_in"]:
        """The edited activations of the next positions of this run, in h's dtype."""
        entering = self._entering(h)
        for what, width, given in (("reads", self.sae.d_in, entering), ("writes", self.sae.cfg.width_out, h)):
            if given.shape[-1] != width:
                raise Mismatch(
                    f"the SAE {what} {width} numbers per token, the hookpoint has {given.shape[-1]}",
                    "use the hookpoint that the SAE was trained on",
                )
        first, self._seen = self._seen, self._seen + h.shape[1]
        self._prompt = h.shape[1] if self._prompt is None else self._prompt
        edited = self._edited(torch.arange(first, self._seen), self._prompt)
        if not edited.any():
            return h
        rows = h[:, edited].reshape(-1, h.shape[-1])
        if entering is h:
            new = torch.cat([self.edit(block) for block in rows.split(ROWS)])
        else:
            read = entering[:, edited].reshape(-1, entering.shape[-1])
            blocks = zip(rows.split(ROWS), read.split(ROWS), strict=True)
            new = torch.cat([self.edit(block, of) for block, of in blocks])
        if torch.equal(new, rows):
            return h
        out = h.clone()
        out[:, edited] = new.view(h.shape[0], -1, h.shape[-1])
        return out

    def edit(
        self, h: Float[Tensor, "batch d_out"], read: Float[Tensor, "batch d_in"] | None = None
    ) -> Float[Tensor, "batch d_out"]:
        """The edited rows, computed in float32, in h's dtype; a row without any change is h's own.

        read: what a transcoder reads in those rows; an SAE reads h itself.
        """
        wide, features = h.float(), self._features.to(h.device)
        x = wide if read is None else read.float()
        change = self._change(wide, x, self.sae.encode(x)[:, features].float())
        moved = self.sae.delta(x, features, change).float()
        new = torch.where((change != 0).any(1, keepdim=True), wide + moved, wide).to(h.dtype)
        if len(self._ablated) and read is None:  # where nothing is read again, nothing can wake again
            return silence(self.sae, new, self._ablated.to(h.device))
        return new

    def places(self, hookpoint: str) -> list[tuple[str, Callable[[Tensor], Tensor]]]:
        """Which function acts where in the model."""
        return [(hookpoint, self)]

    def _entering(self, h: Tensor) -> Tensor:
        """What the SAE reads at the positions of h."""
        return h

    def _edited(self, positions: Int[Tensor, "pos"], prompt: int) -> Bool[Tensor, "pos"]:
        """Which positions of the sequence the edits act on."""
        allowed = positions > 0
        if self.where == "prompt":
            allowed &= positions < prompt
        elif self.where == "generated":
            allowed &= positions >= prompt
        return allowed

    def _change(
        self, h: Float[Tensor, "batch d_out"], x: Float[Tensor, "batch d_in"], f: Float[Tensor, "batch n"]
    ) -> Float[Tensor, "batch n"]:
        """f' - f; exactly zero where the edit asks for nothing."""
        change = torch.zeros_like(f)
        for column, (edit, amount) in enumerate(zip(self.edits, self._amounts, strict=True)):
            own = f[:, column]
            value = own.new_full((), amount)
            if edit.unit == "norm" and edit.mode in ("add", "set", "min"):
                value = amount * h.norm(dim=1) / self._row_norm(x, edit.feature)
            match edit.mode:
                case "add":
                    change[:, column] = value
                case "set":
                    change[:, column] = value - own
                case "min":
                    change[:, column] = (value - own).clamp(min=0)
                case "scale":
                    change[:, column] = own * (amount - 1)
                case "ablate":
                    change[:, column] = -own
        return change

    def _row_norm(self, x: Float[Tensor, "batch d_in"], feature: int) -> Float[Tensor, "batch"]:
        """Length of what one unit of a feature adds to each row."""
        one = x.new_ones(len(x), 1)
        return self.sae.delta(x, torch.tensor([feature], device=x.device), one).float().norm(dim=1).clamp(min=1e-12)


class TranscoderEdits(FeatureEdits):
    """The same for a transcoder: features are read at one hookpoint, and what they add is changed at another."""

    _read: Tensor

    def read(self, h: Float[Tensor, "batch pos d_in"]) -> Float[Tensor, "batch pos d_in"]:
        """Keep what the transcoder reads; nothing is changed there."""
        self._read = h
        return h

    def places(self, hookpoint: str) -> list[tuple[str, Callable[[Tensor], Tensor]]]:
        return [(hookpoint, self.read), (self.sae.cfg.hookpoint_out, self)]

    def _entering(self, h: Tensor) -> Tensor:
        return self._read


def edits_of(sae: Sae, edits: Sequence[Edit], maxima: Mapping[int, float], *, where: Where = "all") -> FeatureEdits:
    """The edits as they act for this SAE."""
    kind = TranscoderEdits if sae.cfg.transcoder else FeatureEdits
    return kind(sae, edits, maxima, where=where)


def _check(sae: Sae, features: list[int]) -> None:
    for feature in features:
        if not 0 <= feature < sae.d_sae:
            raise NotFound(
                f"there is no feature {feature} among {sae.d_sae}",
                f"features are numbered 0 to {sae.d_sae - 1}",
            )
        if features.count(feature) > 1:
            raise BadValue(f"feature {feature} has {features.count(feature)} edits", "give one edit per feature")


def _in_own_units(edit: Edit, maxima: Mapping[int, float]) -> float:
    """The amount; multiplied with the feature's largest activation for the unit `max`."""
    if edit.unit != "max" or edit.mode in ("scale", "ablate"):
        return _in_range(edit, edit.amount)
    largest = maxima.get(edit.feature)
    if not largest or not 0 < largest < float("inf"):
        known = "is not known" if largest is None else f"is {largest:g}"
        raise BadValue(
            f"edit {edit}: the largest activation of feature {edit.feature} {known}, so max is no unit",
            f"use raw units ({edit.feature}:{edit.mode}:{edit.amount:g}:raw), or extract on more text first",
        )
    return _in_range(edit, edit.amount * largest)


def _in_range(edit: Edit, amount: float) -> float:
    """The amount, where float32 can hold it."""
    if abs(amount) > torch.finfo(torch.float32).max:
        raise BadValue(f"edit {edit}: {amount:g} is more than any activation can be", "use a smaller amount")
    return amount
