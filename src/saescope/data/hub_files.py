"""Which files of a hub's dataset are meant: by the repository's card, or by how files are usually named."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from .. import hub
from ..errors import BadSource, NotFound
from .readers import KINDS, TextFile, kind_of

_CONVERTED = "refs/convert/parquet"  # the branch where a hub keeps its own Parquet copy of a dataset
_SPLITS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}


def hub_files(source: str, split: str, *, whole: bool) -> tuple[list[TextFile], list[str]]:
    """The files of `hf:ORG/NAME[:CONFIG]` that hold a split, and what to tell the user.

    No file is fetched before it is opened. `whole` fetches it into the hub's cache; else only the parts
    that are read travel.
    """
    repo_id, _, config = source.removeprefix("hf:").partition(":")
    listing = hub.list_files(repo_id, repo_type="dataset")
    data = [file for file in listing.files if kind_of(file) in KINDS]
    if not data:
        try:
            listing = hub.list_files(repo_id, repo_type="dataset", revision=_CONVERTED)
        except NotFound:
            hint = "take another dataset, or convert this one to Parquet yourself"
            raise BadSource(f"dataset {repo_id!r} holds no {' '.join(KINDS)} file", hint) from None
        data = [file for file in listing.files if kind_of(file) in KINDS]
    card = _card_configs(listing)
    chosen = _of_config(source, data, card, config, split)
    kinds = Counter(kind_of(name) for name in chosen)
    kind = max(kinds, key=lambda kind: (kinds[kind], KINDS.index(kind)))
    mixed = f"{repo_id} mixes {' '.join(sorted(kinds))} files; the {kind} ones are read"
    notes = [mixed] if len(kinds) > 1 else []
    opener = _fetched if whole else hub.open_file
    return [
        TextFile(f"{repo_id}/{name}", _Opener(opener, listing, name)) for name in chosen if kind_of(name) == kind
    ], notes


@dataclass(frozen=True)
class _Opener:
    how: Any
    listing: hub.Listing
    file: str

    def __call__(self) -> BinaryIO:
        return self.how(self.listing, self.file)


def _fetched(listing: hub.Listing, file: str) -> BinaryIO:
    return open(hub.fetch(listing, file), "rb")


def _of_config(source: str, data: Sequence[str], card: dict[str, Any], config: str, split: str) -> list[str]:
    """The files of one configuration and split."""
    if card:
        if config and config not in card:
            raise _no_config(source, config, list(card))
        if not config:
            config = next((name for name, entry in card.items() if entry.get("default")), "")
            config = config or ("default" if "default" in card else "")
            if not config and len(card) > 1:
                raise _which_config(source, list(card))
            config = config or next(iter(card))
        splits = _card_splits(card[config], data)
        if splits:
            return _of_split(source, splits, split)
    elif config:
        inside = [name for name in data if config in name.split("/")[:-1]]
        if not inside:
            folders = sorted({name.split("/")[0] for name in data if "/" in name})
            raise _no_config(source, config, folders)
        data = inside
    else:
        folders = sorted({name.split("/")[0] for name in data if "/" in name})
        alone = [name for name in data if "/" not in name]
        if len(folders) > 1 and not alone and not any(_split_of(folder) for folder in folders):
            raise _which_config(source, folders)
    splits = {}
    for name in data:
        splits.setdefault(_split_of(name), []).append(name)
    if set(splits) == {None}:
        splits = {"train": splits[None]}
    return _of_split(source, {name: files for name, files in splits.items() if name is not None}, split)


def _of_split(source: str, splits: dict[str, list[str]], split: str) -> list[str]:
    for name in (split, *(known for known, words in _SPLITS.items() if split in words)):
        if splits.get(name):
            return splits[name]
    known = ", ".join(sorted(name for name, files in splits.items() if files)) or "none"
    raise BadSource(f"dataset {source!r} has no split {split!r}; its splits are: {known}", "choose one with --split")


def _split_of(name: str) -> str | None:
    """The split that a file's path names: the last part that says one wins."""
    for part in reversed(name.split("/")):
        for split, words in _SPLITS.items():
            if re.search(rf"(?<![a-z])({'|'.join(words)})(?![a-z])", part.lower()):
                return split
    return None


def _card_configs(listing: hub.Listing) -> dict[str, Any]:
    """The `configs` of the card (README.md) by name; {} where it has none that can be read."""
    if "README.md" not in listing.files:
        return {}
    import yaml

    text = hub.fetch(listing, "README.md").read_text("utf-8", errors="replace")
    header = re.match(r"---\r?\n(.*?)\r?\n---", text, re.DOTALL)
    try:
        card = yaml.safe_load(header.group(1)) if header else None
    except (yaml.YAMLError, RecursionError, ValueError):
        return {}
    configs = card.get("configs") if isinstance(card, dict) else None
    entries = [entry for entry in configs if isinstance(entry, dict)] if isinstance(configs, list) else []
    return {
        str(entry.get("config_name", "default")): entry
        for entry in entries
        if "data_files" in entry or "data_dir" in entry
    }


def _card_splits(entry: dict[str, Any], data: Sequence[str]) -> dict[str, list[str]]:
    """The files of each split that a card's configuration names."""
    files = entry.get("data_files")
    folder = str(entry.get("data_dir") or "").strip("/")
    if files is None:
        inside = [name for name in data if name.startswith(folder + "/")]
        found: dict[str, list[str]] = {}
        for name in inside:
            found.setdefault(_split_of(name) or "train", []).append(name)
        return found
    listed = files if isinstance(files, list) else [files]
    splits: dict[str, list[str]] = {}
    for item in listed:
        name, patterns = (
            (str(item.get("split", "train")), item.get("path")) if isinstance(item, dict) else ("train", item)
        )
        for pattern in patterns if isinstance(patterns, list) else [patterns]:
            wanted = _pattern(f"{folder}/{pattern}" if folder else str(pattern))
            splits.setdefault(name, []).extend(file for file in data if wanted.fullmatch(file))
    return {name: list(dict.fromkeys(found)) for name, found in splits.items()}


def _pattern(glob: str) -> re.Pattern[str]:
    """A glob as a regular expression: `*` stays inside a folder, `**` does not."""
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", glob.removeprefix("./"))
    words = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(words.get(part, re.escape(part)) for part in parts))


def _which_config(source: str, names: Sequence[str]) -> BadSource:
    hint = f"choose one, as in {source}:{names[0]}"
    return BadSource(f"dataset {source!r} has several configurations: {', '.join(names[:20])}", hint)


def _no_config(source: str, config: str, names: Sequence[str]) -> BadSource:
    known = ", ".join(names[:20]) or "none"
    return BadSource(f"dataset {source!r} has no configuration {config!r}; there are: {known}", "choose one of these")
