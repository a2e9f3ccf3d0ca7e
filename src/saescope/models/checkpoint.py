"""A checkpoint folder, looked at before any library opens it.

Safetensors and JSON only. Weights that are pickles and configurations that bring their own code are refused
by name; a file that is cut short or is something else is found by its header, without reading its tensors.
"""

import json
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import BadSource
from ..fingerprint import content_hash, file_hash

# what would make a library run code that comes with the checkpoint
_CODE_KEYS = frozenset({"auto_map", "trust_remote_code", "custom_pipelines", "custom_generate"})
# what a configuration may not decide for us: kernels are fetched by name
_DROPPED = re.compile(r"_?(attn|experts)_implementation(_internal|_autoset)?|_name_or_path|transformers_version")
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".msgpack", ".h5")
_HEADER_LIMIT = 100 << 20
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "spiece.model")


@dataclass(frozen=True)
class Checkpoint:
    """A folder whose configuration and weight files are what they should be."""

    folder: Path
    config: dict[str, Any]
    weights: tuple[Path, ...]

    @classmethod
    def open(cls, folder: Path) -> "Checkpoint":
        """Look at a folder; BadSource says what is not as it should be."""
        if not (folder / "config.json").is_file():
            raise BadSource(
                f"{str(folder)!r} is not a model folder: it has no config.json",
                "give a folder with config.json, weights and tokenizer, a .gguf file or a Hugging Face id",
            )
        if (folder / "adapter_config.json").exists():
            raise BadSource(f"{str(folder)!r} holds an adapter, not a whole model", "merge it into its model first")
        for path in sorted(folder.glob("*.json")):
            _refuse_code(path)
        config = _read_json(folder / "config.json")
        if "quantization_config" in config:
            method = config["quantization_config"]
            method = method.get("quant_method", "?") if isinstance(method, dict) else "?"
            raise BadSource(
                f"the weights in {str(folder)!r} are quantized with {method!r}, which saescope does not read",
                "take the unquantized checkpoint, and --quantize int8 if it is too large",
            )
        weights = tuple(_weight_files(folder))
        for path in weights:
            check_safetensors(path)
        if not any((folder / name).is_file() for name in _TOKENIZERS):
            raise BadSource(
                f"model folder {str(folder)!r} has no tokenizer", "put its tokenizer.json beside config.json"
            )
        return cls(folder, _clean(config), weights)

    def fingerprint(self) -> str:
        """Hash of the configuration and of every byte of the weights."""
        config = json.dumps(self.config, sort_keys=True)
        return content_hash(config, *(file_hash(path) for path in self.weights))


def check_safetensors(path: Path) -> None:
    """BadSource where a file is not safetensors, or is shorter or longer than its header says."""
    size = path.stat().st_size
    wrong = BadSource(f"{str(path)!r} is not a safetensors file", "get the file again from where it came")
    if size < 8:
        raise wrong
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        if length > _HEADER_LIMIT:
            raise wrong
        head = file.read(length)
    if len(head) < length:
        raise _cut_short(path, size, 8 + length)
    try:
        header = json.loads(head)
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        expected = 8 + length + max(ends, default=0)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
        raise wrong from None
    if size != expected:
        raise _cut_short(path, size, expected)


def _cut_short(path: Path, size: int, expected: int) -> BadSource:
    state = "cut short" if size < expected else "too long"
    return BadSource(
        f"{str(path)!r} is {state}: {size} bytes, its header says {expected}",
        "copy or download the file again",
    )


def _weight_files(folder: Path) -> Iterator[Path]:
    index = folder / "model.safetensors.index.json"
    if (folder / "model.safetensors").is_file():
        yield folder / "model.safetensors"
        return
    if index.is_file():
        named = _read_json(index).get("weight_map")
        names = sorted(set(named.values())) if isinstance(named, dict) else []
        present = {path.name for path in folder.glob("*.safetensors")}
        missing = [name for name in names if name not in present]
        if missing or not names:
            what = f"{len(missing)} of {len(names)} weight files ({missing[0]!r}, …)" if missing else "its weights"
            raise BadSource(f"model folder {str(folder)!r} is without {what}", "copy or download the folder again")
        yield from (folder / name for name in names)
        return
    pickled = sorted(path.name for path in folder.iterdir() if path.suffix in _PICKLES)
    if pickled:
        raise BadSource(
            f"the weights in {str(folder)!r} are {pickled[0]!r}, a format that can run code; it is not read",
            "give a checkpoint with model.safetensors",
        )
    raise BadSource(f"model folder {str(folder)!r} has no model.safetensors", "give a checkpoint in safetensors")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise BadSource(f"{str(path)!r} is not a JSON object", "copy or download the file again")
    return value


def _refuse_code(path: Path) -> None:
    if path.stat().st_size > _HEADER_LIMIT or path.name in ("tokenizer.json", "vocab.json"):
        return
    named = sorted(_CODE_KEYS & set(_keys(_read_json(path) if path.name == "config.json" else _any_json(path))))
    if named:
        raise BadSource(
            f"{str(path)!r} has {named[0]!r}: it asks to run code of the checkpoint, which is never done",
            "if transformers knows the model's type by itself, take that key out of a local copy",
        )


def _any_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        return None


def _keys(value: Any) -> Iterator[str]:
    """The keys of a JSON value at any depth."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            yield from item
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)


def _clean(config: Any) -> Any:
    """The configuration without what it may not decide."""
    if isinstance(config, dict):
        return {key: _clean(value) for key, value in config.items() if not _DROPPED.fullmatch(key)}
    return config
