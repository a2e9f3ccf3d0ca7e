"""The saved state of an extraction in the making: one folder, replaced whole.

    state/
      0-00000.safetensors     what the first state counted
      0-00001.safetensors …   its rows, one range of features after the other; 1-… are the second state's

A state is written and read piece by piece: no more than a piece is ever copied in memory.
"""

import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import psutil
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from .. import faults
from ..extraction.spill import Spill
from ..extraction.state import ExtractionState, Settings
from ..home import no_space, sync_folder, sync_tree

_NAME = "state"
_SHARE = 0.5
"""Part of the free memory that the rows of states may take; what is beyond lies on the disk."""


def new_states(work: Path, settings: list[Settings], device: str) -> list[ExtractionState]:
    """Empty states, which spill into a folder (the home's `work`) what does not fit into memory."""
    spill = Spill(int(psutil.virtual_memory().available * _SHARE), work)
    return [ExtractionState(setting, device, spill=spill) for setting in settings]


def save_states(work: Path, states: list[ExtractionState], batch_size: int = 0) -> None:
    """Write the states beside the last ones, then take their place; with the batch size that worked so far."""
    draft, old = work / f"{_NAME}.new", work / f"{_NAME}.old"
    try:
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        for index, state in enumerate(states):
            about = {"settings": repr(asdict(state.settings)), "batch_size": str(batch_size)}
            for number, piece in enumerate(state.pieces()):
                tensors = {name: tensor.contiguous() for name, tensor in piece.items()}
                save_file(tensors, _file(draft, index, number), metadata=about)
        faults.point("state.written")
        sync_tree(draft)
        shutil.rmtree(old, ignore_errors=True)
        if (work / _NAME).exists():
            (work / _NAME).rename(old)
        faults.point("state.aside")
        draft.rename(work / _NAME)
        sync_folder(work)
        faults.point("state.placed")
        shutil.rmtree(old, ignore_errors=True)
    except (OSError, SafetensorError) as error:
        raise no_space(error, work) or error from None


def load_states(work: Path, settings: list[Settings], device: str) -> list[ExtractionState]:
    """The last whole states, or none: those of another setting, or damaged ones, are passed over."""
    for folder in (work / _NAME, work / f"{_NAME}.old"):
        try:
            states = _load(folder, settings, device)
        except (SafetensorError, OSError, KeyError):
            continue
        if states:
            return states
    return []


def _load(folder: Path, settings: list[Settings], device: str) -> list[ExtractionState]:
    if any(_settings(_file(folder, i, 0)) != repr(asdict(setting)) for i, setting in enumerate(settings)):
        return []
    states = new_states(folder.parent.parent, settings, device)
    for index, state in enumerate(states):
        state.restore(_pieces(folder, index, state.settings, device))
    return states


def _file(folder: Path, state: int, piece: int) -> Path:
    return folder / f"{state}-{piece:05d}.safetensors"


def _pieces(folder: Path, state: int, settings: Settings, device: str) -> Iterator[dict[str, Tensor]]:
    for number in range(1 + len(settings.ranges())):
        yield load_file(_file(folder, state, number), device=device)


def saved_batch_size(work: Path) -> int | None:
    """The batch size that the saved run ended with; None where none is saved."""
    for folder in (work / _NAME, work / f"{_NAME}.old"):
        try:
            size = int(_about(_file(folder, 0, 0)).get("batch_size", "0"))
        except (SafetensorError, OSError, ValueError):
            continue
        return size if size > 0 else None
    return None


def _settings(file: Path) -> str | None:
    """The settings that a state was made with."""
    return _about(file).get("settings")


def _about(file: Path) -> dict[str, str]:
    """What is noted at the head of a state."""
    with safe_open(file, framework="pt") as opened:
        return opened.metadata() or {}
