"""Which files make up an SAE, and of which format: told by names alone, so that a hub's listing will do."""

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from ...errors import BadSource
from ..weights import weight_heads
from . import dictionary_learning, goodfire, saelens
from .reading import Found, bad, read_json

_DEEPEST, _MOST = 4, 20_000
_BY_WEIGHTS = {
    "ae.pt": ("dictionary_learning", "config.json"),
    "params.npz": ("gemma_scope", None),
    "params.safetensors": ("gemma_scope_2", "config.json"),
    "sae.safetensors": ("sparsify", "cfg.json"),
}
_SAELENS, _LLAMASCOPIUM = "sae_weights.safetensors", "config.json"
_OLD, _OLD_WEIGHTS = "hyperparams.json", "final.safetensors"
_CONFIGS = ("cfg.json", "config.json", "hyperparams.json")
KNOWN = (
    "known are the files of SAELens (cfg.json), dictionary_learning (ae.pt), sparsify (sae.safetensors), llamascopium, "
    "Llama Scope, Gemma Scope (params.npz) and Goodfire, or plain tensors with a mapping"
)


def among(names: Iterable[str]) -> list[Found]:
    """The SAEs among files of these relative paths, by folder."""
    folders: dict[str, set[str]] = {}
    for name in names:
        path = PurePosixPath(name)
        folders.setdefault(str(path.parent), set()).add(path.name)
    found = [_of_folder(folder, files, folders) for folder, files in sorted(folders.items())]
    return [each for each in found if each is not None]


def _of_folder(folder: str, files: set[str], folders: dict[str, set[str]]) -> Found | None:
    place = Path(folder)
    for weights, (format, config) in _BY_WEIGHTS.items():
        if weights in files:
            return Found(format, place, place / weights, place / config if config else None)
    if _OLD in files:
        below = place / "checkpoints" / _OLD_WEIGHTS
        inside = _OLD_WEIGHTS in folders.get(below.parent.as_posix(), ())
        return Found("llama_scope", place, below if inside else place / _OLD_WEIGHTS, place / _OLD)
    if _SAELENS in files:
        new = "cfg.json" not in files and _LLAMASCOPIUM in files
        return Found(
            "llamascopium" if new else "saelens",
            place,
            place / _SAELENS,
            place / (_LLAMASCOPIUM if new else "cfg.json"),
        )
    return None


def files_of(found: Found, names: Iterable[str]) -> list[str]:
    """Those of these files that reading an SAE needs: its weights, its configuration, and what stands beside them."""
    wanted = [found.weights, *([found.config] if found.config else [])]
    if found.format == "saelens":
        wanted += [found.folder / name for name in (saelens.SCALER, saelens.WHITENING)]
    if found.format == "sparsify":
        wanted += [place / "config.json" for place in (found.folder.parent, found.folder.parent.parent)]
    there = set(names)
    return [name for name in dict.fromkeys(path.as_posix() for path in wanted) if name in there]


def locate(path: Path) -> Found:
    """The one SAE that a path means: a folder, one of its files, or a file of weights alone.

    Raises BadSource where there is none, more than one, or something that only looks like one.
    """
    if not path.exists():
        raise BadSource(f"there is no {str(path)!r}", "give the folder of an SAE")
    if path.is_dir():
        return _inside(path)
    beside = [each for each in _listed(path.parent, 1) if path in (each.weights, each.config)]
    return beside[0] if beside else _alone(path)


def _inside(folder: Path) -> Found:
    here = _listed(folder, 1)
    found = [each for each in here if each.folder == folder] or _listed(folder, _DEEPEST)
    if len(found) == 1:
        return found[0]
    if found:
        some = ", ".join(each.folder.relative_to(folder).as_posix() for each in found[:6])
        raise BadSource(
            f"{str(folder)!r} holds {len(found)} SAEs: {some}{', …' if len(found) > 6 else ''}", "give one of them"
        )
    configs = [name for name in _CONFIGS if (folder / name).is_file()]
    if configs:
        read_json(folder / configs[0])
        raise bad(folder, f"it has a {configs[0]}, but no weights beside it")
    raise BadSource(f"there is no SAE in {str(folder)!r}, no cfg.json and no weights", KNOWN)


def _listed(folder: Path, depth: int) -> list[Found]:
    """The SAEs in a folder and some way below it, by files that really are there."""
    names, waiting = [], [(folder, depth)]
    while waiting and len(names) < _MOST:
        place, left = waiting.pop()
        try:
            for entry in sorted(place.iterdir()):
                if entry.is_dir() and (left > 1 or entry.name == "checkpoints") and not entry.is_symlink():
                    waiting.append((entry, left - 1))
                elif not entry.is_dir():
                    names.append(entry.relative_to(folder).as_posix())
        except OSError as error:
            raise BadSource(f"{str(place)!r} cannot be read: {error.strerror}", "check the path") from None
    return [
        Found(each.format, folder / each.folder, folder / each.weights, folder / each.config if each.config else None)
        for each in among(names)
    ]


def _alone(path: Path) -> Found:
    """A file that no known set of files has in it."""
    if path.suffix == ".json":
        read_json(path)
        raise bad(path, "it is a configuration without weights beside it")
    if path.suffix in (".pt", ".pth"):
        for place in (path.parent, path.parent.parent):
            if path.name.startswith("ae") and (place / dictionary_learning.CONFIG).is_file():
                return Found("dictionary_learning", path.parent, path, place / dictionary_learning.CONFIG)
        if goodfire.looks_like(weight_heads(path)):
            return Found("goodfire", path.parent, path)
        raise bad(path, "it holds tensors, but nothing says of what", KNOWN)
    if path.suffix == ".npz":
        return Found("gemma_scope", path.parent, path)
    if path.suffix == ".safetensors":
        weight_heads(path)
        raise bad(
            path, "it holds plain tensors, and nothing says which is which", "say so with a mapping: --mapping FILE"
        )
    raise BadSource(f"{str(path)!r} is not in a known format", KNOWN)
