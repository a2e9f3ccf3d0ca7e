"""Where an SAE comes from: a path on this machine, or a repository of a hub, of which no more than it needs."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from .. import hub
from ..errors import BadSource
from ..sae.formats.detect import KNOWN, among, files_of
from ..sae.formats.reading import Found
from .context import Context

_FETCHED = (".safetensors", ".npz")
_SOURCE = re.compile(r"hf:([^/@]+/[^/@]+)((?:/[^@]*)?)(?:@(.+))?")


@dataclass(frozen=True)
class Source:
    """An SAE's files here, and how to name for good where they are from."""

    path: Path
    pinned: str


def sae_source(source: str, context: Context) -> Source:
    """A local path as it is; hf:ORG/NAME/path[@REVISION] downloaded, checked by length and hash, and pinned to the
    commit it was found at. Of a hub only safetensors, npz and JSON files are fetched.

    Raises BadSource, NotFound and Unreachable.
    """
    if not source.startswith("hf:"):
        path = Path(os.path.expanduser(source))
        if not path.exists():
            raise BadSource(f"there is no file or folder {source!r}", "give the folder of an SAE, or one of its files")
        return Source(path, source)
    match = _SOURCE.fullmatch(source)
    parts = match[2].strip("/").split("/") if match and match[2].strip("/") else []
    if not match or any(part in ("", ".", "..") for part in (*match[1].split("/"), *parts)):
        raise BadSource(f"{source!r} names no repository", "write hf:ORG/NAME or hf:ORG/NAME/path")
    inside = "/".join(parts)
    listing = hub.list_files(match[1], revision=match[3])
    found = _chosen(source, inside, listing.files)
    root = Path()
    for name in files_of(found, listing.files):
        path = hub.fetch_checked(listing, name, progress=context.tell)
        root = path.parents[len(Path(name).parts) - 1]
    # the weights say which SAE of several in one folder is meant
    path = root / (found.weights if found.format == "mapping" else found.folder)
    return Source(path, f"hf:{match[1]}{'/' + inside if inside else ''}@{listing.commit}")


def _chosen(source: str, inside: str, names: tuple[str, ...]) -> Found:
    """The one SAE that is meant among a repository's files."""
    below = [name for name in names if not inside or name == inside or name.startswith(inside + "/")]
    found = [each for each in among(names) if _within(each, inside, below)]
    here = [each for each in found if each.folder == Path(inside)] or found
    if len(here) > 1:
        some = ", ".join(each.folder.as_posix() for each in here[:6])
        raise BadSource(
            f"{source!r} holds {len(here)} SAEs: {some}{', …' if len(here) > 6 else ''}",
            f"name one, as in hf:{source.removeprefix('hf:').split('@')[0].rstrip('/')}/FOLDER",
        )
    if not here:
        if len(below) == 1 and below[0] == inside and inside.endswith(_FETCHED):
            return Found("mapping", Path(inside).parent, Path(inside))
        if any(name.endswith((".pt", ".pth")) for name in below):
            raise _pickled(source)
        raise BadSource(f"there is no SAE in {source!r}", KNOWN)
    if not here[0].weights.name.endswith(_FETCHED):
        raise _pickled(source)
    return here[0]


def _within(found: Found, inside: str, below: list[str]) -> bool:
    return found.weights.as_posix() in below or (found.config is not None and found.config.as_posix() == inside)


def _pickled(source: str) -> BadSource:
    return BadSource(
        f"the weights of {source!r} are in a .pt file, and of a hub only safetensors, npz and JSON are fetched",
        "download it yourself and give the file: it is then read without running anything in it",
    )
