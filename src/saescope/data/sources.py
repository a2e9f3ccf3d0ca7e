"""Where text comes from: files of one kind, on this machine or in a hub's dataset, one document at a time."""

import glob
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from ..errors import BadSource
from ..specs import AddDataset
from .fields import choose_field
from .hub_files import hub_files
from .readers import KINDS, TextFile, kind_of, read_texts

_KINDS = " ".join(KINDS)


@dataclass(frozen=True)
class Source:
    """Files of one kind, and the field that holds the text."""

    name: str
    """What the user wrote."""
    kind: str
    """.txt, .jsonl, .csv or .parquet."""
    files: tuple[TextFile, ...]
    text_field: str | None
    """None where a file is one document."""
    notes: list[str] = field(default_factory=list)
    """What was chosen on the user's behalf, one line each."""
    limit: int | None = None
    """Take this many documents at most; blank ones do not count."""

    def documents(self) -> Iterator[str]:
        """Every document in order, blank ones included; BadSource where a file is not what it seems."""
        for file in self.files:
            yield from read_texts(file, self.kind, self.text_field)


def open_source(spec: AddDataset) -> Source:
    """Find the files of a request and the field that holds their text; nothing is read but a first look.

    Raises BadSource (not there, mixed, empty, no such field), for a hub also NotFound, Unreachable, NoSpace.
    """
    notes: list[str] = []
    if spec.source.startswith("hf:"):
        files, notes = hub_files(spec.source, spec.split, whole=spec.limit is None)
        kind = kind_of(files[0].name)
    else:
        paths = _find(spec.source)
        kind = _one_kind(spec.source, paths)
        files = [_local(path) for path in paths]
        if all(os.path.getsize(path) == 0 for path in paths):
            what = (
                f"{spec.source!r} is empty"
                if len(paths) == 1
                else f"all {len(paths)} files of {spec.source!r} are empty"
            )
            raise BadSource(what, "give files that hold text")
    text_field, field_notes = choose_field(spec.source, files, kind, spec.text_field)
    return Source(spec.source, kind, tuple(files), text_field, [*notes, *field_notes], spec.limit)


def _local(path: Path) -> TextFile:
    def open_binary() -> BinaryIO:
        try:
            return open(path, "rb")
        except OSError as error:
            hint = "check that it is still there and that you may read it"
            raise BadSource(f"{str(path)!r} cannot be read: {error.strerror}", hint) from None

    return TextFile(str(path), open_binary)


def _find(source: str) -> list[Path]:
    """The files that a path, folder or glob names, in the order of their names."""
    try:
        path = Path(os.path.expanduser(source))
        if path.is_file():
            return [path]
        if path.is_dir():
            found = [
                p for p in sorted(path.rglob("*")) if p.is_file() and _visible(p, path) and kind_of(p.name) in KINDS
            ]
            if not found:
                raise BadSource(f"folder {source!r} holds no {_KINDS} file", "give a folder, file or glob that does")
            return found
        if path.exists():
            raise BadSource(f"{source!r} is not a regular file", f"give a {_KINDS} file")
        matches = map(Path, glob.glob(str(path), recursive=True)) if glob.has_magic(source) else []
        found = sorted(match for match in matches if match.is_file())
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise BadSource(f"{source[:200]!r} cannot be read: {reason}", "give a path that is there") from None
    if not found:
        what = f"no file matches {source!r}" if glob.has_magic(source) else f"there is no file {source!r}"
        raise BadSource(what, f"give a path, folder or glob of {_KINDS} files, or hf:ORG/NAME")
    return found


def _visible(path: Path, root: Path) -> bool:
    return not any(part.startswith(".") for part in path.relative_to(root).parts)


def _one_kind(source: str, paths: list[Path]) -> str:
    first_of: dict[str, Path] = {}
    for path in paths:
        first_of.setdefault(kind_of(path.name), path)
    for kind, path in first_of.items():
        if kind not in KINDS:
            ending = f"the ending {kind!r}" if kind else "no ending"
            raise BadSource(f"{str(path)!r} has {ending}; known are {_KINDS}", "give files of one of these kinds")
    if len(first_of) > 1:
        kinds = " and ".join(sorted(first_of))
        raise BadSource(
            f"{source!r} mixes {kinds} files", "add one kind at a time, with a glob such as 'folder/**/*.txt'"
        )
    return next(iter(first_of))
