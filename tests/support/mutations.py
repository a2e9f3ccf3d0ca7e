"""Checkpoints with something wrong in their header, configuration or program, made from sound ones by chance."""

import json
import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).parents[1] / "golden"

SOURCES = {
    "saelens": ("hostile/control_valid", "sae_weights.safetensors", "cfg.json"),
    "saelens v5": ("sae-lens-v5_standard_topk", "sae_weights.safetensors", "cfg.json"),
    "whitened": (
        "sae-lens-standard_covariance_whitening_checkpoint/384",
        "activation_whitening.safetensors",
        "cfg.json",
    ),
    "dictionary_learning": ("dictionary_learning-topk/trainer_0", "ae.pt", "config.json"),
    "sparsify": ("sparsify-groupmax/layers.5", "sae.safetensors", "cfg.json"),
    "llamascopium": ("llamascopium-jumprelu_dataset_wise", "sae_weights.safetensors", "config.json"),
    "gemma_scope": ("gemma-scope-jumprelu/layer_5/width_96/average_l0_12", "params.npz", None),
}
_VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 2, 8, 17, 2**31, 2**40, 2**63, 2**64, -(2**63), 10**400, 0.5, 1e308, float("nan"),
    float("inf"), "", "topk", "jumprelu", "F32", "\x00", "../../etc/passwd", "x" * 2000, [], [1], [8, 16], [-1, 2**62],
    [[[[]]]], {}, {"a": {"b": []}}, "os.system", "I64", "BF16",
]  # fmt: skip


@dataclass(frozen=True)
class Sound:
    """A sound checkpoint: every file of its folder."""

    files: dict[str, bytes]
    weights: str
    config: str | None


def sound(name: str) -> Sound:
    folder, weights, config = SOURCES[name]
    files = {
        path.name: path.read_bytes()
        for path in (GOLDEN / folder).iterdir()
        if path.is_file() and path.name not in ("README.txt", "io.safetensors")
    }
    return Sound(files, weights, config)


def mutated(checkpoint: Sound, chance: random.Random) -> dict[str, bytes]:
    """The files of a checkpoint with one to three things wrong in its configuration or its weights' layout."""
    files = dict(checkpoint.files)
    for _ in range(chance.choice((1, 1, 2, 3))):
        name = chance.choice([name for name in (checkpoint.weights, checkpoint.config) if name])
        if chance.random() < 0.05:
            files.pop(name, None)
        elif name in files:
            files[name] = _file(name, files[name], chance)
    return files


def write(files: dict[str, bytes], folder: Path) -> None:
    """Put these files, and no others, into a folder."""
    for path in folder.iterdir():
        path.unlink()
    for name, data in files.items():
        (folder / name).write_bytes(data)


def _file(name: str, data: bytes, chance: random.Random) -> bytes:
    if name.endswith(".json") and chance.random() < 0.7:
        return _json(data, chance)
    if name.endswith(".safetensors"):
        return _header(data, chance) if chance.random() < 0.7 else _bytes(data, chance, 600)
    return _bytes(data, chance, len(data) if chance.random() < 0.7 else 1200)


def _json(data: bytes, chance: random.Random) -> bytes:
    try:
        document = json.loads(data)
    except ValueError:
        return _bytes(data, chance, len(data))
    places = list(_places(document))
    if places:
        inside, key = chance.choice(places)
        match chance.randrange(4):
            case 0:
                del inside[key]
            case 1:
                other, from_key = chance.choice(places)
                inside[key] = other.get(from_key) if isinstance(other, dict) else None
            case _:
                inside[key] = chance.choice(_VALUES)
    try:
        return json.dumps(document).encode()
    except (ValueError, RecursionError):  # it came to hold itself
        return data[: chance.randrange(len(data) + 1)]


def _places(value: Any, depth: int = 0) -> Iterator[tuple[dict[str, Any], str]]:
    """Every key of every object of a document."""
    if isinstance(value, dict) and depth < 5:
        for key in list(value):
            yield value, key
            yield from _places(value[key], depth + 1)


def _header(data: bytes, chance: random.Random) -> bytes:
    """A safetensors file with another header, whose length is mostly told rightly."""
    if len(data) < 8:
        return data
    (length,) = struct.unpack("<Q", data[:8])
    header = _json(data[8 : 8 + min(length, len(data))], chance)
    told = len(header) if chance.random() < 0.8 else chance.choice((0, 1, length, 2**32, 2**63 - 1, len(data)))
    return struct.pack("<Q", told) + header + data[8 + length :]


def _bytes(data: bytes, chance: random.Random, within: int) -> bytes:
    """Bytes changed, put in, taken out or cut off, within the first or the last so many."""
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 8))):
        limit = min(within, len(changed))
        if not limit:
            break
        at = chance.randrange(limit)
        if chance.random() < 0.4:
            at = len(changed) - 1 - at
        match chance.randrange(6):
            case 0 | 1 | 2:
                changed[at] = chance.randrange(256)
            case 3:
                changed[at:at] = chance.choice((b"c", b"cos\nsystem\n", b"R", b"\x80\x04", b"\xff" * 8, b"(", b"}"))
            case 4:
                del changed[at : at + chance.choice((1, 2, 8, 64))]
            case _:
                del changed[at:]
    return bytes(changed)
