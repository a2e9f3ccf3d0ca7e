"""Zip archives, as .npz and .pt files are: which members lie where, without a byte of them being unpacked.

Everything an archive says of itself is checked against the file's own length before it is believed.
"""

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ..errors import BadSource
from .header import one_line

_LONGEST_DIRECTORY = 2**20
_END, _ENTRY, _LOCAL = b"PK\x05\x06", b"PK\x01\x02", b"PK\x03\x04"
_END_64, _LOCATOR_64 = b"PK\x06\x06", b"PK\x06\x07"
_FULL_16, _FULL_32 = 0xFFFF, 0xFFFFFFFF
_RATIO = 100
"""How many times smaller deflate can make weights, at the most: what claims more is no weights."""


@dataclass(frozen=True)
class Member:
    """One file of an archive: where its bytes lie, and how long they are unpacked."""

    name: str
    offset: int
    packed: int
    size: int
    crc: int
    deflated: bool


def members(path: Path) -> dict[str, Member]:
    """Every member of an archive by its name. Raises BadSource where anything does not fit together."""
    try:
        size = path.stat().st_size
        with open(path, "rb") as file:
            start, length = _directory(path, file, size)
            file.seek(start)
            entries = _entries(path, file.read(length))
            found = {entry.name: _located(path, file, entry, start) for entry in entries}
    except OSError as error:
        raise BadSource(f"{str(path)!r} cannot be read: {error.strerror}", "check the path") from None
    if len(found) < len(entries):
        raise _bad(path, "two of its members have one name")
    return found


def read_member(path: Path, member: Member, most: int | None = None) -> bytes:
    """A member's bytes, all of them (checked against their checksum) or the first `most`."""
    wanted = member.size if most is None else min(most, member.size)
    with open(path, "rb") as file:
        file.seek(member.offset)
        if not member.deflated:
            data = file.read(wanted)
        else:
            data = _inflated(path, member, file.read(member.packed if most is None else most), wanted)
    if len(data) < wanted:
        raise _bad(path, f"{member.name!r} is cut short")
    if most is None:
        check_sum(path, member, zlib.crc32(data))
    return data


def check_sum(path: Path, member: Member, crc: int) -> None:
    """BadSource where a member's bytes are not those that were written."""
    if crc != member.crc:
        raise _bad(path, f"{member.name!r} is damaged: its checksum is wrong")


def _inflated(path: Path, member: Member, packed: bytes, wanted: int) -> bytes:
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, wanted)
    except zlib.error:
        raise _bad(path, f"{member.name!r} is damaged") from None


def _directory(path: Path, file: BinaryIO, size: int) -> tuple[int, int]:
    """Where the list of members begins, and its length."""
    tail_length = min(size, 22 + _FULL_16)
    file.seek(size - tail_length)
    tail = file.read(tail_length)
    at = tail.rfind(_END)
    if at < 0 or len(tail) - at < 22:
        raise _bad(path, "it has no end, so it is no archive, or it is cut short")
    end = size - tail_length + at
    length, start = struct.unpack("<II", tail[at + 12 : at + 20])
    if start == _FULL_32 or length == _FULL_32 or struct.unpack("<H", tail[at + 10 : at + 12])[0] == _FULL_16:
        start, length = _directory_64(path, file, end)
    if length > _LONGEST_DIRECTORY:
        raise _bad(path, f"its list of members is {length} bytes long, more than any SAE needs")
    if start + length > end:
        raise _bad(path, "its list of members lies outside the file")
    return start, length


def _directory_64(path: Path, file: BinaryIO, end: int) -> tuple[int, int]:
    file.seek(max(0, end - 20))
    locator = file.read(20)
    if len(locator) < 20 or not locator.startswith(_LOCATOR_64):
        raise _bad(path, "its end is damaged")
    (place,) = struct.unpack("<Q", locator[8:16])
    if place + 56 > end:
        raise _bad(path, "its end is damaged")
    file.seek(place)
    record = file.read(56)
    if len(record) < 56 or not record.startswith(_END_64):
        raise _bad(path, "its end is damaged")
    length, start = struct.unpack("<QQ", record[40:56])
    return start, length


def _entries(path: Path, directory: bytes) -> list[Member]:
    """The members as the directory lists them; `offset` is where each one's own header begins."""
    entries, at = [], 0
    while at < len(directory):
        if directory[at : at + 4] != _ENTRY or len(directory) - at < 46:
            raise _bad(path, "its list of members is damaged")
        flags, method = struct.unpack("<HH", directory[at + 8 : at + 12])
        crc, packed, size = struct.unpack("<III", directory[at + 16 : at + 28])
        name_length, extra_length, comment_length = struct.unpack("<HHH", directory[at + 28 : at + 34])
        (offset,) = struct.unpack("<I", directory[at + 42 : at + 46])
        name_end = at + 46 + name_length
        name = directory[at + 46 : name_end].decode("utf-8", "replace")
        extra = directory[name_end : name_end + extra_length]
        size, packed, offset = _wide(path, extra, size, packed, offset)
        at = name_end + extra_length + comment_length
        if at > len(directory):
            raise _bad(path, "its list of members is damaged")
        if flags & 1 or method not in (0, 8):
            raise _bad(path, f"{name!r} is encrypted or packed in a way no library packs weights")
        if method == 0 and packed != size:
            raise _bad(path, f"{name!r} has two lengths, {packed} and {size}")
        if method == 8 and size > _RATIO * packed + 2**16:
            raise _bad(path, f"{name!r} would unpack from {packed} bytes to {size}, which no weights do")
        entries.append(Member(name, offset, packed, size, crc, method == 8))
    return entries


def _wide(path: Path, extra: bytes, *numbers: int) -> list[int]:
    """Numbers that do not fit 32 bits stand in the extra field, in this order."""
    wide, at = b"", 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack("<HH", extra[at : at + 4])
        if kind == 1:
            wide = extra[at + 4 : at + 4 + length]
        at += 4 + length
    found = []
    for number in numbers:
        if number == _FULL_32:
            if len(wide) < 8:
                raise _bad(path, "its list of members is damaged")
            (number,) = struct.unpack("<Q", wide[:8])
            wide = wide[8:]
        found.append(number)
    return found


def _located(path: Path, file: BinaryIO, entry: Member, limit: int) -> Member:
    """The member with the place of its first byte; its bytes must lie before the directory."""
    if entry.offset + 30 > limit:
        raise _bad(path, f"{entry.name!r} lies outside the file")
    file.seek(entry.offset)
    header = file.read(30)
    if len(header) < 30 or not header.startswith(_LOCAL):
        raise _bad(path, f"{entry.name!r} is not where the list of members says")
    name_length, extra_length = struct.unpack("<HH", header[26:30])
    offset = entry.offset + 30 + name_length + extra_length
    if offset + entry.packed > limit:
        raise _bad(path, f"{entry.name!r} should have {entry.packed} bytes, but the file has fewer")
    return Member(entry.name, offset, entry.packed, entry.size, entry.crc, entry.deflated)


def _bad(path: Path, why: str) -> BadSource:
    return BadSource(
        f"{str(path)!r} is no sound archive: {one_line(why)}", "download or copy it again, or give another file"
    )
