"""Labels by hand and in bulk: add one, choose one, import and export all. Loads no torch."""

from pathlib import Path
from typing import Any

from ..errors import BadValue
from ..labeling import exchange
from ..records import Extraction, Label
from ..store import catalogue
from ..store.database import Database
from ..store.labels import add_labels, every_label, label_history
from ..store.labels import choose_label as choose
from .clock import now

LONGEST = 2000
"""Characters of a label."""


def add_label(db: Database, extraction: str, index: int, text: str) -> dict[str, Any]:
    """A label of a person's."""
    record = _of(db, extraction, index)
    if not text.strip() or len(text) > LONGEST:
        raise BadValue(f"label: {len(text)} characters", f"write 1 to {LONGEST}")
    add_labels(db, record.id, [Label(index, " ".join(text.split()), "person", None, now())])
    return _history(db, record, index)


def choose_label(db: Database, extraction: str, index: int, label: int | None) -> dict[str, Any]:
    """Show this label of the feature's history, or what the rule shows."""
    record = _of(db, extraction, index)
    choose(db, record.id, index, label)
    return _history(db, record, index)


def import_labels(db: Database, extraction: str, path: Path) -> dict[str, Any]:
    """Every label of a file, or none of them."""
    record = catalogue.extraction(db, extraction)
    labels = exchange.read_labels(path, record.features, now())
    return {"extraction": record.name, "file": str(path), "labels": add_labels(db, record.id, labels)}


def export_labels(db: Database, extraction: str, path: Path, format: str) -> dict[str, Any]:
    """Every label ever written, with its scores."""
    record = catalogue.extraction(db, extraction)
    labels = every_label(db, record.id)
    exchange.write_labels(labels, path, format, model=record.model, layer=record.hookpoint)
    return {"extraction": record.name, "file": str(path), "labels": len(labels)}


def _of(db: Database, extraction: str, index: int) -> Extraction:
    record = catalogue.extraction(db, extraction)
    if not 0 <= index < record.features:
        raise BadValue(f"there is no feature {index}", f"features go from 0 to {record.features - 1}")
    return record


def _history(db: Database, record: Extraction, index: int) -> dict[str, Any]:
    labels = [label.to_json() for label in label_history(db, record.id, index)]
    return {"extraction": record.name, "index": index, "label": labels[0]["text"] if labels else None, "labels": labels}
