"""The head of a safetensors file, read and checked before anything of the sizes it claims is allocated."""

import json
import math
import struct
from dataclasses import dataclass
from pathlib import Path

from ..errors import BadSource

_BYTES = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2,
    "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1,
}  # fmt: skip
_LONGEST = 16 * 2**20
_LFS = b"version https://git-lfs"


@dataclass(frozen=True)
class TensorHead:
    """One tensor's type and shape."""

    dtype: str
    shape: tuple[int, ...]


def read_header(path: Path) -> dict[str, TensorHead]:
    """Names, types and shapes of a safetensors file whose layout is sound from the first byte to the last.

    Raises BadSource: not there, cut short, foreign, unknown types, shapes that are not their bytes, holes,
    overlaps.
    """
    try:
        with open(path, "rb") as file:
            size = path.stat().st_size
            length = _header_length(path, size, file.read(8))
            text = file.read(length)
    except FileNotFoundError:
        raise BadSource(f"{path.name!r} is not in {str(path.parent)!r}", "give the SAE's own folder") from None
    except OSError as error:
        raise BadSource(f"{str(path)!r} cannot be read: {error.strerror}", "check the path") from None
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError):
        raise _bad(path, "its header is not JSON") from None
    if not isinstance(entries, dict):
        raise _bad(path, "its header is not a JSON object")
    entries.pop("__metadata__", None)
    heads = {name: _entry(path, name, entry) for name, entry in entries.items()}
    _check_bytes(path, heads, entries, size - 8 - length)
    return heads


def check_not_lfs(path: Path) -> None:
    """BadSource where a file that cannot be read or is a stand-in lies in the place of the real one."""
    try:
        with open(path, "rb") as file:
            first = file.read(len(_LFS))
    except OSError as error:
        raise BadSource(f"{str(path)!r} cannot be read: {error.strerror}", "check the path") from None
    if first == _LFS:
        raise _lfs(path)


def _header_length(path: Path, size: int, first: bytes) -> int:
    if size == 0:
        raise _bad(path, "the file is empty")
    if first == _LFS[:8]:
        raise _lfs(path)
    if len(first) < 8:
        raise _bad(path, f"{size} bytes are less than the 8 of a header length")
    (length,) = struct.unpack("<Q", first)
    if length > size - 8:
        raise _bad(path, f"its header should be {length} bytes long, but only {size - 8} follow")
    if length > _LONGEST:
        raise _bad(path, f"its header is {length} bytes long, more than the {_LONGEST} any SAE needs")
    return length


def _entry(path: Path, name: str, entry: object) -> TensorHead:
    if not isinstance(entry, dict):
        raise _bad(path, f"{name} is described by no object")
    dtype, shape = entry.get("dtype"), entry.get("shape")
    if not isinstance(dtype, str) or dtype not in _BYTES:
        raise _bad(path, f"{name} has the unknown type {dtype!r}")
    if not isinstance(shape, list) or not all(_is_count(side) for side in shape):
        raise _bad(path, f"{name} has no proper shape: {shape!r}")
    return TensorHead(dtype, tuple(shape))


def _check_bytes(path: Path, heads: dict[str, TensorHead], entries: dict, total: int) -> None:
    """Each tensor takes exactly the bytes of its shape, and together they take every byte once."""
    ranges = []
    for name, head in heads.items():
        offsets = entries[name].get("data_offsets")
        if not isinstance(offsets, list) or len(offsets) != 2 or not all(_is_count(offset) for offset in offsets):
            raise _bad(path, f"{name} has no proper data_offsets: {offsets!r}")
        start, end = offsets
        due = math.prod(head.shape) * _BYTES[head.dtype]
        if end - start != due:
            raise _bad(path, f"{name} of shape {list(head.shape)} needs {due} bytes, not {end - start}")
        if end > total:
            raise _bad(path, f"{name} ends at byte {end} of the data, which has {total}: the file is cut short")
        ranges.append((start, end, name))
    place = 0
    for start, end, name in sorted(ranges):
        if start != place:
            raise _bad(path, f"{name} begins at byte {start} of the data, not at {place}: a hole or an overlap")
        place = end
    if place != total:
        raise _bad(path, f"{total - place} bytes at its end belong to no tensor")


def _lfs(path: Path) -> BadSource:
    return BadSource(
        f"{str(path)!r} is a Git LFS pointer: the real file was not downloaded",
        "fetch it (git lfs pull), or download it from the hub",
    )


def _is_count(number: object) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and number >= 0


def one_line(text: str) -> str:
    """Words from a file as part of a message: without line breaks and of bounded length."""
    line = " ".join(text.split())
    return line if len(line) <= 300 else line[:300] + "…"


def _bad(path: Path, why: str) -> BadSource:
    return BadSource(
        f"{str(path)!r} is no whole safetensors file: {one_line(why)}",
        "download or copy it again, or give another file",
    )
