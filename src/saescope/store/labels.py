"""Labels of features and their scores: all that were ever written are kept, and one visible rule says which is shown.

Shown is the label a person chose; else the newest that a person wrote; else the one with the best detection score;
else the newest. Nothing is overwritten: an edit is another label, a choice another row.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from itertools import islice
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from ..errors import NotFound
from ..records import Label, LabelError, Score
from . import schema
from .database import Database, in_order
from .jobs import fence
from .text import storable

_BATCH = 5_000
_FEW = 5_000
"""Up to so many features are asked for by number; beyond, all are read and the others passed over."""

_FIELDS = ("id", "feature", "text", "source", "model", "created", "clarity", "detail", "prompt", "samples", "request")
_SCORE = ("value", "n", "low", "high", "chance", "failed", "judge", "interval")
LISTED_SCORES = ("detection", "fuzzing")
"""Scores that a list of features can be sorted by."""


def add_labels(db: Database, extraction_id: str, labels: Iterable[Label]) -> int:
    """Add labels with their scores, all or none of them, and return how many."""
    added = 0
    remaining = iter(labels)
    with db.writing() as connection:
        in_order(connection)
        fence(connection)
        first = (connection.execute(sa.select(sa.func.max(schema.labels.c.id))).scalar() or 0) + 1
        while batch := list(islice(remaining, _BATCH)):
            ids = _insert(connection, extraction_id, batch, first)
            scores = [
                {"label_id": id, "name": name, **{field: getattr(score, field) for field in _SCORE}}
                for id, label in zip(ids, batch, strict=True)
                for name, score in label.scores.items()
            ]
            if scores:
                connection.execute(schema.scores.insert(), scores)
            added += len(batch)
            first = ids[-1] + 1
    return added


def _insert(connection: sa.Connection, extraction_id: str, batch: list[Label], first: int) -> list[int]:
    """Write labels and say which numbers they got."""
    rows = [_row(extraction_id, label) for label in batch]
    if connection.dialect.name == "sqlite":  # one writer, under its lock: the numbers are known beforehand
        ids = list(range(first, first + len(rows)))
        connection.execute(schema.labels.insert(), [{"id": id, **row} for id, row in zip(ids, rows, strict=True)])
        return ids
    query = schema.labels.insert().returning(schema.labels.c.id, sort_by_parameter_order=True)
    return list(connection.execute(query, rows).scalars())


def add_errors(db: Database, extraction_id: str, errors: Iterable[LabelError]) -> None:
    """Note features that no label was found for; they are no labels."""
    rows = [
        {"extraction_id": extraction_id, **error.to_json(), "raw": None if error.raw is None else storable(error.raw)}
        for error in errors
    ]
    if rows:
        with db.writing() as connection:
            fence(connection)
            connection.execute(schema.label_errors.insert(), rows)


def label_errors(db: Database, extraction_id: str, request: str | None = None) -> list[LabelError]:
    """What failed, newest first; of one request where it is given."""
    table = schema.label_errors
    query = sa.select(table).where(table.c.extraction_id == extraction_id).order_by(table.c.id.desc())
    if request is not None:
        query = query.where(table.c.request == request)
    with db.reading() as connection:
        return [
            LabelError(**{name: row[name] for name in LabelError.__dataclass_fields__})
            for row in connection.execute(query).mappings()
        ]


def add_scores(db: Database, label_id: int, scores: Mapping[str, Score]) -> None:
    """Score a label again; of scores with one name the newest is shown."""
    rows = [
        {"label_id": label_id, "name": name, **{field: getattr(score, field) for field in _SCORE}}
        for name, score in scores.items()
    ]
    if rows:
        with db.writing() as connection:
            in_order(connection)
            fence(connection)
            connection.execute(schema.scores.insert(), rows)


def choose_label(db: Database, extraction_id: str, feature: int, label_id: int | None) -> None:
    """Show this label of a feature, or with None what the rule shows; NotFound for a label of another feature."""
    table = schema.labels
    with db.writing() as connection:
        in_order(connection)
        if label_id is not None:
            known = sa.select(table.c.id).where(
                table.c.id == label_id, table.c.extraction_id == extraction_id, table.c.feature == feature
            )
            if connection.execute(known).first() is None:
                raise NotFound(f"feature {feature} has no label {label_id}", "its history lists those it has")
        created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        row = {"extraction_id": extraction_id, "feature": feature, "label_id": label_id, "created": created}
        connection.execute(schema.label_choices.insert(), [row])


def current_labels(db: Database, extraction_id: str, features: Collection[int] | None = None) -> dict[int, Label]:
    """The shown label of each feature that has one, of all features or of those given, by feature."""
    wanted = None if features is None else {int(feature) for feature in features}
    found: dict[int, Label] = {}
    with db.reading() as connection:
        for chosen in _chosen(wanted):
            ranked = _ranked(extraction_id, chosen)
            for label in _read(connection, sa.select(ranked).where(ranked.c.place == 1).order_by(ranked.c.feature)):
                if wanted is None or label.feature in wanted:
                    found[label.feature] = label
    return found


def current_label_columns(db: Database, extraction_id: str, features: Collection[int] | None = None) -> pa.Table:
    """The shown labels of all features, or of these, as columns (LABEL_COLUMNS): for sorting and searching many."""
    ranked = _ranked(extraction_id, None if features is None else [int(feature) for feature in features])
    low = _newest_score("detection", "low", ranked.c.id)
    columns = [low if name == "detection_low" else ranked.c[name] for name in LABEL_COLUMNS.names]
    query = sa.select(*columns).where(ranked.c.place == 1).order_by(ranked.c.feature)
    parts = [LABEL_COLUMNS.empty_table()]
    with db.reading() as connection:
        for rows in connection.execution_options(yield_per=_BATCH).execute(query).partitions():
            values = zip(*rows, strict=True)
            arrays = [pa.array(column, field.type) for column, field in zip(values, LABEL_COLUMNS, strict=True)]
            parts.append(pa.table(arrays, LABEL_COLUMNS))
    return pa.concat_tables(parts).combine_chunks()


def relabelled(db: Database, extraction_id: str, labels: int, scores: int, choices: int) -> list[int]:
    """The features of which a label, a score or a choice was written after these, the newest of each kind."""
    label, score, choice = schema.labels, schema.scores, schema.label_choices
    queries = [
        sa.select(label.c.feature).where(label.c.id > labels, label.c.extraction_id == extraction_id),
        sa.select(label.c.feature)
        .join(score, score.c.label_id == label.c.id)
        .where(score.c.id > scores, label.c.extraction_id == extraction_id),
        sa.select(choice.c.feature).where(choice.c.id > choices, choice.c.extraction_id == extraction_id),
    ]
    with db.reading() as connection:
        return sorted({feature for query in queries for feature in connection.execute(query).scalars()})


LABEL_COLUMNS = pa.schema(
    [
        ("feature", pa.int32()),
        ("text", pa.string()),
        ("source", pa.string()),
        ("clarity", pa.float64()),
        ("detection", pa.float64()),
        ("detection_low", pa.float64()),
        ("fuzzing", pa.float64()),
    ]
)
"""detection_low: the lower end of detection's interval, which few snippets make low."""


def label_history(db: Database, extraction_id: str, feature: int) -> list[Label]:
    """Every label a feature was given: the shown one first, then newest first."""
    with db.reading() as connection:
        return list(_read(connection, _history(), {"extraction": extraction_id, "feature": feature}))


@cache
def _history() -> sa.Select[Any]:
    """Built once: to build it takes longer than to run it."""
    ranked = _ranked(sa.bindparam("extraction"), sa.bindparam("feature"))
    return sa.select(ranked).order_by(ranked.c.place != 1, ranked.c.id.desc())


def every_label(db: Database, extraction_id: str) -> list[Label]:
    """All labels of all features, by feature and oldest first."""
    ranked = _ranked(extraction_id, None)
    with db.reading() as connection:
        return list(_read(connection, sa.select(ranked).order_by(ranked.c.feature, ranked.c.id)))


def labelled_by(db: Database, extraction_id: str, request: str) -> set[int]:
    """The features that have a label of this very request."""
    table = schema.labels
    query = sa.select(table.c.feature).where(table.c.extraction_id == extraction_id, table.c.request == request)
    with db.reading() as connection:
        return set(connection.execute(query).scalars())


def _ranked(extraction_id: Any, features: Any) -> sa.Subquery:
    """Labels with their detection and fuzzing, and their place in the order of the rule: 1 is shown."""
    label, choice = schema.labels, schema.label_choices
    newest = sa.select(sa.func.max(choice.c.id)).where(choice.c.extraction_id == extraction_id)
    last = newest.group_by(choice.c.feature)
    chosen = sa.select(choice.c.label_id).where(choice.c.id.in_(last), choice.c.label_id.is_not(None))
    scores = {name: _newest_score(name, "value", label.c.id) for name in LISTED_SCORES}
    person = label.c.source == "person"
    place = sa.func.row_number().over(
        partition_by=label.c.feature,
        order_by=[
            sa.case((label.c.id.in_(chosen), 0), else_=1),
            sa.case((person, -label.c.id), else_=0),
            sa.func.coalesce(scores["detection"], -1.0).desc(),
            label.c.id.desc(),
        ],
    )
    query = sa.select(
        *(label.c[name] for name in _FIELDS),
        *(score.label(name) for name, score in scores.items()),
        place.label("place"),
    ).where(label.c.extraction_id == extraction_id)
    if features is not None:
        several = isinstance(features, list)
        query = query.where(label.c.feature.in_(features) if several else label.c.feature == features)
    return query.subquery()


def _newest_score(name: str, field: str, label_id: Any) -> sa.ScalarSelect[Any]:
    """A field of a label's newest score of that name."""
    score = schema.scores
    query = sa.select(score.c[field]).where(score.c.label_id == label_id, score.c.name == name)
    return query.order_by(score.c.id.desc()).limit(1).correlate(label_id.table).scalar_subquery()


def _read(connection: sa.Connection, query: sa.Select[Any], values: Mapping[str, Any] | None = None) -> Iterator[Label]:
    """Rows of `_ranked` as labels, with every score."""
    rows = connection.execute(query, values or {}).mappings().all()
    for start in range(0, len(rows), _BATCH):
        some = rows[start : start + _BATCH]
        scores: dict[int, dict[str, Score]] = {}
        for score in connection.execute(_scores_of(), {"labels": [row["id"] for row in some]}).mappings():
            scores.setdefault(score["label_id"], {})[score["name"]] = Score(**{field: score[field] for field in _SCORE})
        for row in some:
            fields: dict[str, Any] = {name: row[name] for name in _FIELDS} | {"samples": tuple(row["samples"] or ())}
            yield Label(**fields, scores=scores.get(row["id"], {}), shown=row["place"] == 1)


@cache
def _scores_of() -> sa.Select[Any]:
    """Every score of some labels, the oldest first."""
    table = schema.scores
    return sa.select(table).where(table.c.label_id.in_(sa.bindparam("labels", expanding=True))).order_by(table.c.id)


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
        "text": storable(label.text),
        "source": label.source,
        "model": label.model,
        "created": label.created,
        "clarity": label.clarity,
        "detail": label.detail,
        "prompt": label.prompt,
        "samples": list(label.samples),
        "request": label.request,
    }
