"""What the studio and the API show of features, and what is removed with a thing: the documents of contract.md."""

import json
from collections.abc import Callable, Collection, Sequence
from typing import Any, Literal

from ..home import Home
from ..records import Extraction, Model
from . import catalogue, tokenized
from .browse import Browse
from .database import Database
from .features import MEASURES, FeatureStore
from .labels import current_label_columns, current_labels, label_history

Kind = Literal["dataset", "model", "sae", "extraction"]

_PLAIN = ("index", "density", "active_tokens", "active_samples", "max", "mean", "second_moment", "dead")


def strings_of(home: Home, db: Database, record: Extraction) -> list[str]:
    """The string of every token id of an extraction's model."""
    return vocabulary(home, catalogue.model(db, record.model))


def vocabulary(home: Home, model: Model) -> list[str]:
    """The string of every token id of a model."""
    return json.loads((home.artifact("models", model.id) / "vocabulary.json").read_text())


def list_features(
    db: Database,
    record: Extraction,
    store: FeatureStore,
    strings: Sequence[str] | None,
    sort: str = "index",
    order: Literal["asc", "desc"] | None = None,
    where: str | None = None,
    search: str | None = None,
    limit: int | None = None,
) -> dict[str, Any]:
    """Every feature that matches, dead ones included, with its current label."""
    labels = current_label_columns(db, record.id)
    matching, rows = store.list(sort, order, where, search, limit, labels, strings)
    shown = (
        "index", "density", "active_tokens", "active_samples", "max", "mean", "label", "label_source", "clarity",
        "detection", "fuzzing", *MEASURES, "dead",
    )  # fmt: skip
    return {
        "extraction": record.name,
        "total": record.features,
        "matching": matching,
        "features": rows.select([name for name in shown if name in rows.column_names]).to_pylist(),
    }


def show_feature(
    db: Database,
    record: Extraction,
    store: FeatureStore,
    strings: Sequence[str],
    index: int,
    near: Callable[[], dict[str, Any]],
) -> dict[str, Any]:
    """Everything known of one feature; `near` finds its neighbours where the table does not hold them."""
    about = about_feature(db, record, store, strings, index, near=near)
    return about | {"examples": show_examples(store, strings, index)}


def about_feature(
    db: Database,
    record: Extraction,
    store: FeatureStore,
    strings: Sequence[str],
    index: int,
    *,
    near: Callable[[], dict[str, Any]] | None = None,
    browse: Browse | None = None,
) -> dict[str, Any]:
    """Everything but the examples. browse: where what is held of every feature need not be read again."""
    row = store.feature(index) if browse is None else browse.row(index)
    if not row["neighbor_ids"] and near is not None:
        row |= near()
    history = label_history(db, record.id, index)
    others: Collection[int] = row["neighbor_ids"]
    if browse is None:
        named = {other: label.text for other, label in current_labels(db, record.id, others).items()}
    else:
        named = browse.labels_of(others)
    return {
        "extraction": record.name,
        "sae": record.sae,
        **{name: row[name] for name in _PLAIN},
        "label": history[0].text if history else None,
        "clarity": history[0].clarity if history else None,
        "histogram": _trimmed(store.histogram_edges, row["histogram"]),
        "writes_most": _written(row, "writes_most", strings),
        "writes_least": _written(row, "writes_least", strings),
        "neighbors": [
            {"index": other, "cosine": cosine, "label": named.get(other)}
            for other, cosine in zip(others, row["neighbor_cosines"], strict=True)
        ],
        "labels": [label.to_json() for label in history],
    }


def show_examples(
    store: FeatureStore, strings: Sequence[str], index: int, stratum: str | None = None
) -> list[dict[str, Any]]:
    """A feature's examples with their tokens."""
    return [row | {"tokens": [strings[id] for id in row["token_ids"]]} for row in store.examples(index, stratum)]


def remove(home: Home, db: Database, kind: Kind, name: str) -> dict[str, Any]:
    """Take something out of the home; refused while something else is made from it."""
    if kind == "dataset":
        record = catalogue.remove_dataset(db, name)
        home.discard("datasets", record.id)
        tokenized.discard_token_stores(home, db, record)
    elif kind == "model":
        home.discard("models", catalogue.remove_model(db, name).id)
    elif kind == "sae":
        record = catalogue.remove_sae(db, name)
        home.discard("saes", record.id)
        home.discard("facts", record.id)
    else:
        record = catalogue.remove_extraction(db, name)
        home.discard("extractions", record.id)
        home.discard("facts", record.id)
    return {"removed": kind, "name": name}


def _trimmed(edges: list[float], counts: list[int]) -> dict[str, list[Any]]:
    """A histogram without its empty ends."""
    filled = [bin for bin, count in enumerate(counts) if count]
    if not filled:
        return {"edges": [], "counts": []}
    low, high = filled[0], filled[-1] + 1
    return {"edges": edges[low : high + 1], "counts": counts[low:high]}


def _written(row: dict[str, Any], which: str, strings: Sequence[str]) -> list[dict[str, Any]]:
    ids, logits = row[f"{which}_ids"], row[f"{which}_logits"]
    return [{"token": strings[id], "id": id, "logit": logit} for id, logit in zip(ids, logits, strict=True)]
