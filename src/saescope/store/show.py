"""What is shown of a dataset, a model or an SAE: the documents of contract.md."""

import json
from collections.abc import Callable
from typing import Any

from ..data.token_store import TokenStore
from ..errors import BrokenHome
from ..home import Home
from ..records import Dataset, Model, SaeInfo
from .tokenized import token_stores

DEFAULT_CONTEXT = 128
SMALL = 100_000_000
"""Characters up to which a dataset is tokenized just to be shown: some minutes at the most."""

Tokenize = Callable[[str | None, int], TokenStore | None]


def show_dataset(
    record: Dataset, home: Home, tokenize: Tokenize, model: str | None, context: int | None
) -> dict[str, Any]:
    """A dataset, with its rows: those of the model named, else those last made, else (a small one) those of the
    home's newest model. `tokenize(model, context)` makes rows; None where there is no model to make them with.
    """
    store = None
    if model is None:
        stores = [store for about, store in token_stores(home, record) if context in (None, about["context"])]
        store = stores[0] if stores else None
    if store is None and (model is not None or record.characters <= SMALL):
        store = tokenize(model, context or DEFAULT_CONTEXT)
    rows = {
        "samples": store.samples if store else None,
        "tokens": store.n_tokens if store else None,
        "context": store.context if store else None,
        "lengths": store.length_quantiles() if store else None,
    }
    return record.to_json() | rows


def show_model(record: Model) -> dict[str, Any]:
    """A model and every hookpoint with its width."""
    points = [{"name": name, "width": width} for name, width in record.hookpoints.items()]
    return record.to_json() | {"hookpoints": points}


def show_sae(record: SaeInfo, home: Home) -> dict[str, Any]:
    """An SAE, with what its configuration adds to its record."""
    try:
        cfg = json.loads((home.artifact("saes", record.id) / "cfg.json").read_text())
    except (OSError, ValueError):
        raise BrokenHome(
            f"the files of SAE {record.name!r} are gone from the home", f"remove and add {record.name!r} again"
        ) from None
    metadata = cfg.get("metadata") or {}
    kept = metadata.get("saescope") or {}
    return record.to_json() | {
        "k": cfg.get("k"),
        "format": (kept.get("origin") or {}).get("format", "saescope"),
        "d_out": cfg.get("d_out"),
        "hookpoint_out": metadata.get("hookpoint_out"),
        "skip": "skip" in cfg.get("architecture", ""),
        "notes": kept.get("notes") or [],
        "training": {
            name: metadata.get(key)
            for name, key in (
                ("run", "run"),
                ("kind", "training_architecture"),
                ("details", "training_architecture_details"),
                ("tokens", "training_tokens"),
                ("seed", "seed"),
                ("activation_scale", "activation_scale"),
            )
            if metadata.get(key) is not None
        },
    }
