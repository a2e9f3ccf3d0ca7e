"""Which tokenizations of a dataset a home holds. Loads no torch."""

import json
from pathlib import Path
from typing import Any

from ..data.token_store import TokenStore
from ..home import Home
from ..records import Dataset
from . import catalogue
from .database import Database

_ABOUT = "about.json"


def describe(folder: Path, dataset: Dataset, tokenizer: str, context: int, packing: str) -> None:
    """Say in a token store's folder what it was made from."""
    about = {"dataset": dataset.fingerprint, "tokenizer": tokenizer, "context": context, "packing": packing}
    (folder / _ABOUT).write_text(json.dumps(about))


def token_stores(home: Home, dataset: Dataset) -> list[tuple[dict[str, Any], TokenStore]]:
    """Every tokenization of a dataset, newest first, with what it was made from."""
    folders = [each for each in _folders(home) if each[0]["dataset"] == dataset.fingerprint]
    found = sorted(folders, key=lambda item: -item[1].stat().st_mtime)
    return [(about, TokenStore.open(folder)) for about, folder in found]


def discard_unused(home: Home, db: Database) -> None:
    """Remove the tokenizations of text that no dataset has any more."""
    used = {dataset.fingerprint for dataset in catalogue.datasets(db)}
    for about, folder in _folders(home):
        if about["dataset"] not in used:
            home.discard("tokens", folder.name)


def _folders(home: Home) -> list[tuple[dict[str, Any], Path]]:
    return [(json.loads(file.read_text()), file.parent) for file in (home.artifacts / "tokens").glob(f"*/{_ABOUT}")]
