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
    found = sorted(_folders(home, dataset), key=lambda item: -item[1].stat().st_mtime)
    return [(about, TokenStore.open(folder)) for about, folder in found]


def discard_token_stores(home: Home, db: Database, dataset: Dataset) -> None:
    """Remove the tokenizations of a dataset, unless another dataset has the same text."""
    if any(other.fingerprint == dataset.fingerprint for other in catalogue.datasets(db)):
        return
    for _, folder in _folders(home, dataset):
        home.discard("tokens", folder.name)


def _folders(home: Home, dataset: Dataset) -> list[tuple[dict[str, Any], Path]]:
    every = [(json.loads(file.read_text()), file.parent) for file in (home.artifacts / "tokens").glob(f"*/{_ABOUT}")]
    return [(about, folder) for about, folder in every if about["dataset"] == dataset.fingerprint]
