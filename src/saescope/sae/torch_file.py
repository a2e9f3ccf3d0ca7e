"""Files that torch.save wrote (.pt), read as what they must be here: a dictionary of named tensors.

Such a file is an archive with a short program (data.pkl) that would build the dictionary, and the numbers of each
tensor. The program is never run. Its opcodes are read one by one, and those few that a dictionary of tensors is
made of are followed with plain values in place of what they would build: a call becomes a note of what was to
be called with what. Whatever else it names is refused by that name.

Opcodes: the module pickletools of Python's standard library describes them all.
"""

import math
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import BadSource
from .header import TensorHead, check_not_lfs, one_line
from .zip_file import Member, check_sum, members, read_member

_LONGEST_PROGRAM = 2**20
_STORAGES = {
    "DoubleStorage": ("F64", torch.float64, 8), "FloatStorage": ("F32", torch.float32, 4),
    "HalfStorage": ("F16", torch.float16, 2), "BFloat16Storage": ("BF16", torch.bfloat16, 2),
    "LongStorage": ("I64", torch.int64, 8), "IntStorage": ("I32", torch.int32, 4),
    "ShortStorage": ("I16", torch.int16, 2), "CharStorage": ("I8", torch.int8, 1),
    "ByteStorage": ("U8", torch.uint8, 1), "BoolStorage": ("BOOL", torch.bool, 1),
}  # fmt: skip
_TENSOR, _PARAMETER = "torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_parameter"
_ORDERED = "collections.OrderedDict"
_KNOWN = {_TENSOR, _PARAMETER, _ORDERED, *(f"torch.{name}" for name in _STORAGES)}


@dataclass(frozen=True)
class _Name:
    """Something the program wants to use, by its full name; only ever compared with the few known ones."""

    text: str


@dataclass(frozen=True)
class _Storage:
    """Where a tensor's numbers are."""

    kind: str
    key: str
    count: int


@dataclass(frozen=True)
class _View:
    """A tensor: a view of a storage."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Refused(Exception):
    """Why a program cannot be followed."""


def read_torch_heads(path: Path) -> dict[str, TensorHead]:
    """Names, types and shapes of the tensors of a file, each checked against its bytes. Raises BadSource."""
    views, _ = _views(path)
    return {name: TensorHead(_STORAGES[view.storage.kind][0], view.shape) for name, view in views.items()}


def read_torch(path: Path, names: list[str]) -> dict[str, Tensor]:
    """The tensors of these names."""
    views, storages = _views(path)
    tensors = {}
    for name in names:
        view = views[name]
        member = storages[view.storage.key]
        data = np.fromfile(path, np.uint8, member.size, offset=member.offset)
        check_sum(path, member, zlib.crc32(data.data))
        dtype = _STORAGES[view.storage.kind][1]
        numbers = torch.from_numpy(data).view(dtype) if len(data) else torch.empty(0, dtype=dtype)
        tensors[name] = numbers.as_strided(view.shape, view.strides, view.offset)
    return tensors


def _views(path: Path) -> tuple[dict[str, _View], dict[str, Member]]:
    """The tensors of a file, and the members that hold their numbers by the key the tensors know them by."""
    check_not_lfs(path)
    with open(path, "rb") as file:
        first = file.read(_LONGEST_PROGRAM)
    if not first.startswith(b"PK"):
        raise _no_archive(path, first)
    found = members(path)
    programs = [name for name in found if name == "data.pkl" or name.endswith("/data.pkl")]
    if len(programs) != 1:
        raise _bad(path, "it is an archive, but not one that torch.save wrote")
    root = programs[0].removesuffix("data.pkl")
    program = found[programs[0]]
    if program.size > _LONGEST_PROGRAM or any(member.deflated for member in found.values()):
        raise _bad(path, "torch.save writes no such archive")
    if f"{root}byteorder" in found and read_member(path, found[f"{root}byteorder"]) != b"little":
        raise _bad(path, "its numbers are in big-endian order")
    try:
        views = _tensors(_follow(read_member(path, program)))
        data = f"{root}data/"
        storages = {name.removeprefix(data): each for name, each in found.items() if name.startswith(data)}
        for name, view in views.items():
            _check_view(name, view, storages)
    except _Refused as why:
        raise _bad(path, str(why)) from None
    return views, storages


def _no_archive(path: Path, first: bytes) -> BadSource:
    """What to say of a file that is no archive; a bare program is followed as far as may be, to name what it does."""
    if first.startswith(b"\x80"):
        try:
            _follow(first)
        except _Refused as why:
            return _bad(path, f"a bare pickle, not an archive of tensors: {why}")
        return _bad(path, "it was written by torch before 1.6; save it again with a newer one")
    return _bad(path, "it is no file that torch.save wrote")


def _tensors(built: Any) -> dict[str, _View]:
    if not isinstance(built, dict):
        raise _Refused("it holds no dictionary of tensors")
    for name, value in built.items():
        if not isinstance(name, str) or not isinstance(value, _View):
            raise _Refused(f"it holds more than named tensors: {_words(name)} is {_words(value)}")
    return built


def _check_view(name: str, view: _View, storages: dict[str, Member]) -> None:
    """A tensor's numbers lie inside its storage, and are no more than that holds."""
    member = storages.get(view.storage.key)
    if member is None:
        raise _Refused(f"the numbers of {name!r} are missing")
    width = _STORAGES[view.storage.kind][2]
    if view.storage.count * width != member.size:
        raise _Refused(f"{name} should have {view.storage.count * width} bytes, not {member.size}")
    numbers = math.prod(view.shape)
    last = view.offset + sum((side - 1) * stride for side, stride in zip(view.shape, view.strides, strict=True))
    if numbers and (numbers > view.storage.count or last >= view.storage.count):
        raise _Refused(f"{name} of shape {list(view.shape)} does not fit its {view.storage.count} numbers")


# ---- following a program ----


def _follow(program: bytes) -> Any:
    """What the program would leave behind, in plain values. Raises _Refused."""
    return _Machine(program).run()


class _Machine:
    """A stack, a memo and a place in the program."""

    def __init__(self, program: bytes) -> None:
        self.program = program
        self.at = 0
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        while True:
            opcode = self.take(1)
            if opcode == b".":
                return self.pop()
            step = _STEPS.get(opcode)
            if step is None:
                raise _Refused(f"it does what no file of tensors does (opcode {opcode!r})")
            step(self)

    def take(self, count: int) -> bytes:
        data = self.program[self.at : self.at + count]
        if len(data) < count:
            raise _Refused("its program is cut short")
        self.at += count
        return data

    def number(self, form: str) -> int:
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def line(self) -> str:
        end = self.program.find(b"\n", self.at)
        if end < 0:
            raise _Refused("its program is cut short")
        text, self.at = self.program[self.at : end], end + 1
        return text.decode("utf-8", "replace")

    def text(self, form: str) -> str:
        return self.take(self.number(form)).decode("utf-8", "replace")

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        if not self.stack or (self.marks and len(self.stack) <= self.marks[-1]):
            raise _Refused("its program is damaged")
        return self.stack.pop()

    def mark(self) -> None:
        self.marks.append(len(self.stack))

    def since_mark(self) -> list[Any]:
        if not self.marks:
            raise _Refused("its program is damaged")
        start = self.marks.pop()
        values, self.stack[start:] = self.stack[start:], []
        return values

    def last(self, count: int) -> tuple[Any, ...]:
        return tuple(reversed([self.pop() for _ in range(count)]))

    def keep(self, place: int) -> None:
        self.push(value := self.pop())
        self.memo[place] = value

    def recall(self, place: int) -> None:
        if place not in self.memo:
            raise _Refused("its program is damaged")
        self.push(self.memo[place])

    def name(self, module: Any, name: Any) -> None:
        """Take up a name, if it is one of the few that a dictionary of tensors needs."""
        if not isinstance(module, str) or not isinstance(name, str):
            raise _Refused("its program is damaged")
        full = f"{module}.{name}"
        if full not in _KNOWN:
            raise _Refused(f"it would call {full[:100]!r}, and nothing in a file is ever called")
        self.push(_Name(full))

    def fill(self, pairs: list[Any]) -> None:
        target = self.pop()
        if not isinstance(target, dict) or len(pairs) % 2:
            raise _Refused("its program is damaged")
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            if not isinstance(key, (str, int)):
                raise _Refused(f"it has {_words(key)} as the name of a tensor")
            target[key] = value
        self.push(target)

    def storage(self) -> None:
        """('storage', type, key, device, count): where numbers are."""
        match self.pop():
            case ("storage", _Name(text=full), str(key), str(), int(count)) if full.startswith("torch.") and count >= 0:
                self.push(_Storage(full.removeprefix("torch."), key, count))
            case _:
                raise _Refused("it refers to something that is no storage of numbers")

    def call(self) -> None:
        """A call of one of the known names, noted down."""
        match self.last(2):
            case (_Name(text=full), ()) if full == _ORDERED:
                self.push({})
            case (_Name(text=full), (_View() as view, bool(), dict())) if full == _PARAMETER:
                self.push(view)
            case (
                _Name(text=full),
                (_Storage() as storage, int(offset), tuple(shape), tuple(strides), bool(), dict(), *_),
            ) if full == _TENSOR:
                sides = (offset, *shape, *strides)
                if len(shape) != len(strides) or not all(type(side) is int and 0 <= side < 2**63 for side in sides):
                    raise _Refused("a tensor in it has no proper shape")
                if storage.kind not in _STORAGES:
                    raise _Refused("a tensor in it has no known type")
                self.push(_View(storage, offset, shape, strides))
            case _:
                raise _Refused("its program is damaged")

    def build(self) -> None:
        """Attributes given to the dictionary (a state dict's versions): passed over."""
        self.pop()
        if not isinstance(target := self.pop(), dict):
            raise _Refused("its program is damaged")
        self.push(target)

    def append(self, values: list[Any]) -> None:
        if not isinstance(target := self.pop(), list):
            raise _Refused("its program is damaged")
        target.extend(values)
        self.push(target)

    def long(self) -> None:
        self.push(int.from_bytes(self.take(self.number("<B")), "little", signed=True))


_STEPS: dict[bytes, Callable[[_Machine], None]] = {
    b"\x80": lambda m: _discard(m.take(1)),
    b"\x95": lambda m: _discard(m.take(8)),
    b"N": lambda m: m.push(None),
    b"\x88": lambda m: m.push(True),
    b"\x89": lambda m: m.push(False),
    b"}": lambda m: m.push({}),
    b"]": lambda m: m.push([]),
    b")": lambda m: m.push(()),
    b"(": _Machine.mark,
    b"t": lambda m: m.push(tuple(m.since_mark())),
    b"\x85": lambda m: m.push(m.last(1)),
    b"\x86": lambda m: m.push(m.last(2)),
    b"\x87": lambda m: m.push(m.last(3)),
    b"J": lambda m: m.push(m.number("<i")),
    b"K": lambda m: m.push(m.number("<B")),
    b"M": lambda m: m.push(m.number("<H")),
    b"G": lambda m: m.push(m.number(">d")),
    b"\x8a": _Machine.long,
    b"X": lambda m: m.push(m.text("<I")),
    b"\x8c": lambda m: m.push(m.text("<B")),
    b"q": lambda m: m.keep(m.number("<B")),
    b"r": lambda m: m.keep(m.number("<I")),
    b"\x94": lambda m: m.keep(len(m.memo)),
    b"h": lambda m: m.recall(m.number("<B")),
    b"j": lambda m: m.recall(m.number("<I")),
    b"c": lambda m: m.name(m.line(), m.line()),
    b"\x93": lambda m: m.name(*m.last(2)),
    b"Q": _Machine.storage,
    b"R": _Machine.call,
    b"b": _Machine.build,
    b"s": lambda m: m.fill(list(m.last(2))),
    b"u": lambda m: m.fill(m.since_mark()),
    b"a": lambda m: m.append(list(m.last(1))),
    b"e": lambda m: m.append(m.since_mark()),
}


def _discard(data: bytes) -> None:
    """What a program says of itself and decides nothing."""


def _words(value: Any) -> str:
    """A value in a few words; never its contents, which may be anything."""
    if isinstance(value, str):
        return repr(value[:60])
    return {_View: "a tensor", _Name: "a name", _Storage: "a storage"}.get(type(value), f"a {type(value).__name__}")


def _bad(path: Path, why: str) -> BadSource:
    return BadSource(
        f"{str(path)!r} is no file of tensors: {one_line(why)}",
        "give a .pt that holds a plain state dict, or better a .safetensors",
    )
