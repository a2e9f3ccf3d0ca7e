"""What the studio and the API show of features, and what is removed with a thing: the documents of contract.md."""

import json
from collections.abc import Callable, Collection, Sequence
from typing import Any, Literal

from ..data.token_store import TokenStore
from ..home import Home
from ..records import Dataset, Extraction, Model, SaeInfo
from . import catalogue, publishing, show
from .browse import Browse
from .catalogue import KindName
from .database import Database
from .features import MEASURES, FeatureStore
from .labels import current_label_columns, current_labels, label_history

_PLAIN = ("index", "density", "active_tokens", "active_samples", "max", "mean", "second_moment", "dead")


class Looking:
    """The part of a studio that only looks; subclasses have the catalogue, the tokenizers and the weights."""

    home: Home

    @property
    def db(self) -> Database:
        """The catalogue."""
        raise NotImplementedError

    def _tokenize(self, dataset: Dataset, model: str, context: int) -> TokenStore:
        """The rows of a dataset as a model reads them."""
        raise NotImplementedError

    def _near(self, sae: SaeInfo, index: int) -> dict[str, Any]:
        """The neighbours of a feature, where no table holds them."""
        raise NotImplementedError

    def datasets(self) -> list[Dataset]:
        """Every dataset, oldest first."""
        return catalogue.datasets(self.db)

    def models(self) -> list[Model]:
        """Every model, oldest first."""
        return catalogue.models(self.db)

    def saes(self) -> list[SaeInfo]:
        """Every SAE, oldest first."""
        return catalogue.saes(self.db)

    def extractions(self) -> list[Extraction]:
        """Every extraction, oldest first."""
        return catalogue.extractions(self.db)

    def show_dataset(self, name: str, context: int | None = None, model: str | None = None) -> dict[str, Any]:
        """A dataset with its rows as a model sees them: the model named, or the one that last tokenized it."""
        record = catalogue.dataset(self.db, name)

        def tokenize(named: str | None, tokens: int) -> TokenStore | None:
            models = catalogue.models(self.db)
            if named is None and not models:
                return None
            return self._tokenize(record, named or models[-1].name, tokens)

        return show.show_dataset(record, self.home, tokenize, model, context)

    def show_model(self, name: str) -> dict[str, Any]:
        """A model and its hookpoints."""
        return show.show_model(catalogue.model(self.db, name))

    def show_sae(self, name: str) -> dict[str, Any]:
        """An SAE."""
        return show.show_sae(catalogue.sae(self.db, name), self.home)

    def features(self, extraction: str) -> FeatureStore:
        """An extraction's tables: `.to_arrow()`, `.examples_arrow()`, `.list(...)`, `.feature(i)`, `.examples(i)`."""
        return FeatureStore(self.home.artifact("extractions", catalogue.extraction(self.db, extraction).id))

    def list_features(
        self,
        extraction: str,
        sort: str = "index",
        order: Literal["asc", "desc"] | None = None,
        where: str | None = None,
        search: str | None = None,
        limit: int | None = None,
    ) -> dict[str, Any]:
        """Every feature that matches, dead ones included, with its current label."""
        record = catalogue.extraction(self.db, extraction)
        strings = strings_of(self.home, self.db, record) if search else None
        return list_features(self.db, record, self.features(extraction), strings, sort, order, where, search, limit)

    def show_feature(self, extraction: str, index: int) -> dict[str, Any]:
        """Everything known of one feature."""
        record = catalogue.extraction(self.db, extraction)
        strings = strings_of(self.home, self.db, record)

        def near() -> dict[str, Any]:
            return self._near(catalogue.sae(self.db, record.sae), index)

        return show_feature(self.db, record, self.features(extraction), strings, index, near)


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
        "detection", "detection_low", "fuzzing", *MEASURES, "dead",
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


def remove(home: Home, db: Database, kind: KindName, name: str) -> dict[str, Any]:
    """Take something out of the home; refused while something else is made from it."""
    publishing.remove(home, db, kind, name)
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
