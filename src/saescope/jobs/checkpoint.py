"""The saved state of an extraction in the making: one folder, replaced whole."""

import shutil
from dataclasses import asdict
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from ..extraction.state import ExtractionState, Settings
from ..home import no_space, sync_tree

_NAME = "state"


def save_states(work: Path, states: list[ExtractionState]) -> None:
    """Write the states beside the last ones, then take their place."""
    draft, old = work / f"{_NAME}.new", work / f"{_NAME}.old"
    try:
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        for index, state in enumerate(states):
            tensors = {name: tensor.contiguous() for name, tensor in state.tensors().items()}
            save_file(tensors, draft / f"{index}.safetensors", metadata={"settings": repr(asdict(state.settings))})
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


def _settings(file: Path) -> str | None:
    """The settings that a state was made with."""
    with safe_open(file, framework="pt") as opened:
        return (opened.metadata() or {}).get("settings")
