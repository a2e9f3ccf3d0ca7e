"""The saved state of an extraction in the making: one folder, replaced whole."""

import shutil
from dataclasses import asdict
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from ..extraction.state import ExtractionState, Settings
from ..home import no_space, sync_tree

_NAME = "state"


def save_states(work: Path, states: list[ExtractionState], batch_size: int = 0) -> None:
    """Write the states beside the last ones, then take their place; with the batch size that worked so far."""
    draft, old = work / f"{_NAME}.new", work / f"{_NAME}.old"
    try:
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        for index, state in enumerate(states):
            tensors = {name: tensor.contiguous() for name, tensor in state.tensors().items()}
            about = {"settings": repr(asdict(state.settings)), "batch_size": str(batch_size)}
            save_file(tensors, draft / f"{index}.safetensors", metadata=about)
        sync_tree(draft)
        shutil.rmtree(old, ignore_errors=True)
        if (work / _NAME).exists():
            (work / _NAME).rename(old)
        draft.rename(work / _NAME)
        shutil.rmtree(old, ignore_errors=True)
    except (OSError, SafetensorError) as error:
        raise no_space(error, work) or error from None


def load_states(work: Path, settings: list[Settings], device: str) -> list[ExtractionState]:
    """The last whole states, or none: those of another setting, or damaged ones, are passed over."""
    for folder in (work / _NAME, work / f"{_NAME}.old"):
        files = [folder / f"{index}.safetensors" for index in range(len(settings))]
        if not all(file.exists() for file in files):
            continue
        try:
            if [_settings(file) for file in files] != [repr(asdict(setting)) for setting in settings]:
                continue
            named = [load_file(file, device=device) for file in files]
            return [
                ExtractionState.from_tensors(setting, tensors, device)
                for setting, tensors in zip(settings, named, strict=True)
            ]
        except (SafetensorError, OSError, KeyError):
            continue
    return []


def saved_batch_size(work: Path) -> int | None:
    """The batch size that the saved run ended with; None where none is saved."""
    for folder in (work / _NAME, work / f"{_NAME}.old"):
        try:
            size = int(_about(folder / "0.safetensors").get("batch_size", "0"))
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
