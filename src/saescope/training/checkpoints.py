"""The state of a run on disk: the two newest, each whole or not there.

    folder/step-000002000/   tensors.safetensors  facts.json  manifest.json (their sha256, written last)

A checkpoint is made beside its place, synced and renamed into it; only then is the one before the last
removed. A damaged one is passed over in favour of the one before, and said to be.
"""

import hashlib
import json
import re
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from .. import faults
from ..errors import BadValue
from ..home import no_space, sync_folder, sync_tree

_FILES = ("tensors.safetensors", "facts.json")
_KEPT = 2


@dataclass(frozen=True)
class Checkpoint:
    """A run's state as it was after some step."""

    step: int
    tensors: dict[str, Tensor]
    facts: dict[str, Any]
    damaged: tuple[str, ...] = ()
    """Newer checkpoints that were passed over, and why: to be shown as a warning."""


class Checkpoints:
    """The checkpoints of one run, in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, step: int, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Keep a state. Raises BadValue where it is not finite, and NoSpace; what was kept before stays."""
        for name, tensor in tensors.items():
            if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
                raise BadValue(f"{name} at step {step} is not finite, so it is not kept", "use a lower --lr")
        draft = self.folder / f".draft-{secrets.token_hex(4)}"
        try:
            draft.mkdir(parents=True)
            save_file({name: tensor.cpu().contiguous() for name, tensor in tensors.items()}, draft / _FILES[0])
            (draft / _FILES[1]).write_text(json.dumps(facts))
            sums = {name: _sha256(draft / name) for name in _FILES}
            (draft / "manifest.json").write_text(json.dumps({"step": step, "sha256": sums}))
            faults.point("checkpoint.written")
            sync_tree(draft)
            place = self.folder / f"step-{step:09d}"
            if place.exists():
                place.rename(self.folder / f".old-{secrets.token_hex(4)}")
            draft.rename(place)
            sync_folder(self.folder)
            faults.point("checkpoint.placed")
            self._tidy(step)
        except (OSError, SafetensorError) as error:
            raise no_space(error, self.folder) or error from None
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def newest(self) -> Checkpoint | None:
        """The newest whole checkpoint; None where there is none."""
        damaged: list[str] = []
        for step, place in sorted(self._places(), reverse=True):
            try:
                tensors, facts = _read(place)
                return Checkpoint(step, tensors, facts, tuple(damaged))
            except (OSError, ValueError, KeyError, SafetensorError) as error:
                damaged.append(f"checkpoint of step {step} is damaged ({error}) and was passed over")
        if damaged:
            raise BadValue(damaged[0], "no whole checkpoint is left: start anew without --resume")
        return None

    def _places(self) -> list[tuple[int, Path]]:
        if not self.folder.is_dir():
            return []
        found = ((re.fullmatch(r"step-(\d+)", path.name), path) for path in self.folder.iterdir())
        return [(int(match[1]), path) for match, path in found if match]

    def _tidy(self, newest: int) -> None:
        """Remove all but the newest and the one before it, and what a kill left half made."""
        older = sorted((step, path) for step, path in self._places() if step < newest)
        for _, path in older[: len(older) - (_KEPT - 1)]:
            shutil.rmtree(path, ignore_errors=True)
        for path in self.folder.glob(".*-*"):
            shutil.rmtree(path, ignore_errors=True)


def _read(place: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    manifest = json.loads((place / "manifest.json").read_text())
    for name in _FILES:
        if _sha256(place / name) != manifest["sha256"][name]:
            raise ValueError(f"{name} does not match its manifest")
    return load_file(place / _FILES[0]), json.loads((place / _FILES[1]).read_text())


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
