"""Labels of features: all that were ever written are kept, and the one written last is current."""

from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from ..records import Label
from . import schema
from .database import Database
from .jobs import fence

_BATCH = 10_000
_FEW = 5_000
"""Up to so many features are asked for by number; beyond, all are read and the others passed over."""

_FIELDS = ("feature", "text", "source", "model", "created", "clarity", "detail")
_COLUMNS = [schema.labels.c[field] for field in _FIELDS]


def add_labels(db: Database, extraction_id: str, labels: Iterable[Label]) -> int:
    """Add labels, all or none of them, and return how many: each becomes its feature's current one."""
    added = 0
    remaining = iter(labels)
    with db.writing() as connection:
        fence(connection)
        while batch := [_row(extraction_id, label) for label in islice(remaining, _BATCH)]:
            connection.execute(schema.labels.insert(), batch)
            added += len(batch)
    return added


def current_labels(db: Database, extraction_id: str, features: Collection[int] | None = None) -> dict[int, Label]:
    """The current label of each feature that has one, of all features or of those given, by feature."""
    table = schema.labels
    newest = sa.select(sa.func.max(table.c.id)).where(table.c.extraction_id == extraction_id).group_by(table.c.feature)
    wanted = None if features is None else {int(feature) for feature in features}
    with db.reading() as connection:
        found: dict[int, Label] = {}
        for chosen in _chosen(wanted):
            narrowed = newest if chosen is None else newest.where(table.c.feature.in_(chosen))
            for row in connection.execute(
                sa.select(*_COLUMNS).where(table.c.id.in_(narrowed)).order_by(table.c.feature)
            ):
                if wanted is None or row[0] in wanted:
                    found[row[0]] = Label(*row)
    return found


def current_label_columns(db: Database, extraction_id: str) -> pa.Table:
    """The current labels as columns feature, text, source, clarity: for sorting and searching many."""
    table = schema.labels
    newest = sa.select(sa.func.max(table.c.id)).where(table.c.extraction_id == extraction_id).group_by(table.c.feature)
    columns = [table.c.feature, table.c.text, table.c.source, table.c.clarity]
    with db.reading() as connection:
        rows = connection.execute(sa.select(*columns).where(table.c.id.in_(newest)).order_by(table.c.feature)).all()
    values: list[Any] = list(zip(*rows, strict=True)) or [[], [], [], []]
    return pa.table(
        [pa.array(column, field.type) for column, field in zip(values, LABEL_COLUMNS, strict=True)],
        LABEL_COLUMNS,
    )


LABEL_COLUMNS = pa.schema(
    [("feature", pa.int32()), ("text", pa.string()), ("source", pa.string()), ("clarity", pa.float64())]
)


def label_history(db: Database, extraction_id: str, feature: int) -> list[Label]:
    """Every label a feature was given, newest first."""
    table = schema.labels
    query = sa.select(*_COLUMNS).where(table.c.extraction_id == extraction_id, table.c.feature == feature)
    with db.reading() as connection:
        return [Label(*row) for row in connection.execute(query.order_by(table.c.id.desc()))]


def _chosen(wanted: set[int] | None) -> Iterator[list[int] | None]:
    if wanted is None or len(wanted) > _FEW:
        yield None
        return
    features = sorted(wanted)
    for start in range(0, len(features), 1000):
        yield features[start : start + 1000]


def _row(extraction_id: str, label: Label) -> dict[str, Any]:
    return {
        "extraction_id": extraction_id,
        "feature": label.feature,
        "text": _storable(label.text),
        "source": label.source,
        "model": label.model,
        "created": label.created,
        "clarity": label.clarity,
        "detail": label.detail,
    }


def _storable(text: str) -> str:
    """Text that both databases take: PostgreSQL refuses NUL, and neither takes half a surrogate pair."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode("utf-8")
