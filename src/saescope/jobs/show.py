"""What is shown of a dataset, a model or an SAE: the documents of contract.md."""

from typing import Any

from ..records import Dataset, Model, SaeInfo
from .context import Context


def show_dataset(
    record: Dataset, context: Context, model: str | None = None, tokens: int | None = None
) -> dict[str, Any]:
    """A dataset; with its rows when a model is named, or when some model has tokenized it before."""
    shown = record.to_json() | {"samples": None, "tokens": None, "context": None, "lengths": None}
    if model is not None:
        store = context.tokens(record, context.model(model)[1], tokens or 128)
    else:
        stores = [store for about, store in context.token_stores(record) if tokens in (None, about["context"])]
        if not stores:
            return shown
        store = stores[0]
    return shown | {
        "samples": store.samples,
        "tokens": store.n_tokens,
        "context": store.context,
        "lengths": store.length_quantiles(),
    }


def show_model(record: Model) -> dict[str, Any]:
    """A model and every hookpoint with its width."""
    points = [{"name": name, "width": width} for name, width in record.hookpoints.items()]
    return record.to_json() | {"hookpoints": points}


def show_sae(record: SaeInfo) -> dict[str, Any]:
    """An SAE."""
    return record.to_json()
