"""Numpy archives (.npz): arrays of plain numbers only. An array of objects would be a pickle, and is refused."""

import math
import re
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..errors import BadSource
from .header import TensorHead, check_not_lfs, one_line
from .zip_file import Member, members, read_member

_TYPES = {"<f8": "F64", "<f4": "F32", "<f2": "F16", "<i8": "I64", "<i4": "I32", "<i2": "I16", "|i1": "I8"}
_HEAD = re.compile(
    r"\{'descr': '([^']{1,20})', 'fortran_order': (True|False), 'shape': \(((?:\d{1,20}(?:, ?|,?(?=\))))*)\),? ?\}\s*"
)


@dataclass(frozen=True)
class _Array:
    member: Member
    start: int
    descr: str
    fortran: bool
    shape: tuple[int, ...]


def read_npz_heads(path: Path) -> dict[str, TensorHead]:
    """Names, types and shapes of the arrays of an archive, each checked against its bytes. Raises BadSource."""
    return {name: TensorHead(_TYPES[array.descr], array.shape) for name, array in _arrays(path).items()}


def read_npz(path: Path, names: list[str]) -> dict[str, Tensor]:
    """The arrays of these names."""
    arrays = _arrays(path)
    return {name: _tensor(path, arrays[name]) for name in names}


def _tensor(path: Path, array: _Array) -> Tensor:
    data = bytearray(read_member(path, array.member))
    numbers = np.frombuffer(data, np.dtype(array.descr), offset=array.start)
    if array.fortran:
        return torch.from_numpy(numbers.reshape(array.shape[::-1])).T
    return torch.from_numpy(numbers.reshape(array.shape))


def _arrays(path: Path) -> dict[str, _Array]:
    check_not_lfs(path)
    return {name.removesuffix(".npy"): _array(path, member) for name, member in members(path).items()}


def _array(path: Path, member: Member) -> _Array:
    """An array's own header, which must account for every byte of its member."""
    first = read_member(path, member, 4096)
    if first[:6] != b"\x93NUMPY" or len(first) < 12:
        raise _bad(path, f"{member.name!r} is no array")
    wide = first[6] > 1
    length, start = (struct.unpack("<I", first[8:12])[0], 12) if wide else (struct.unpack("<H", first[8:10])[0], 10)
    found = _HEAD.fullmatch(first[start : start + length].decode("latin-1"))
    if found is None or start + length > len(first):
        raise _bad(path, f"the header of {member.name!r} cannot be read")
    descr, fortran, sides = found[1], found[2] == "True", found[3]
    name = member.name.removesuffix(".npy")
    if "O" in descr:
        raise _bad(path, f"{name!r} is an array of objects, which only unpickling would read: that is never done")
    if descr not in _TYPES:
        raise _bad(path, f"{name!r} has the unknown type {descr!r}")
    shape = tuple(int(side) for side in sides.replace(" ", "").split(",") if side)
    due = math.prod(shape) * np.dtype(descr).itemsize
    if due != member.size - start - length:
        raise _bad(path, f"{name} of shape {list(shape)} needs {due} bytes, not {member.size - start - length}")
    return _Array(member, start + length, descr, fortran, shape)


def _bad(path: Path, why: str) -> BadSource:
    return BadSource(f"{str(path)!r}: {one_line(why)}", "download or copy it again, or give another file")
