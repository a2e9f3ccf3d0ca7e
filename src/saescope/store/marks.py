"""What a person adds: stars and notes of features, and settings of the studio."""

import time
from datetime import UTC, datetime
from typing import Any

import numpy as np
import sqlalchemy as sa

from ..errors import BadValue
from . import schema
from .database import Database, in_order

LONGEST_NOTE = 20_000
"""Characters of a note."""

_t = schema.marks


def star(db: Database, extraction_id: str, feature: int, on: bool) -> None:
    """Star a feature, or take its star away."""
    _set(db, extraction_id, feature, {"starred": on})


def write_note(db: Database, extraction_id: str, feature: int, text: str) -> dict[str, str] | None:
    """Keep a note, {"text", "saved"}; an empty one removes it."""
    if len(text) > LONGEST_NOTE:
        raise BadValue(f"the note has {len(text):,} characters", f"at most {LONGEST_NOTE:,} are kept")
    text = text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode("utf-8")
    saved = datetime.now(UTC).isoformat(timespec="seconds")
    _set(db, extraction_id, feature, {"note": text or None, "note_saved": saved})
    return {"text": text, "saved": saved} if text else None


def mark(db: Database, extraction_id: str, feature: int) -> dict[str, Any]:
    """{"starred", "note"} of one feature."""
    query = sa.select(_t.c.starred, _t.c.note, _t.c.note_saved)
    with db.reading() as connection:
        row = connection.execute(query.where(_t.c.extraction_id == extraction_id, _t.c.feature == feature)).first()
    if row is None:
        return {"starred": False, "note": None}
    note = None if row.note is None else {"text": row.note, "saved": row.note_saved}
    return {"starred": bool(row.starred), "note": note}


def starred(db: Database, extraction_id: str) -> np.ndarray:
    """The starred features of an extraction, int64, ascending."""
    query = sa.select(_t.c.feature).where(_t.c.extraction_id == extraction_id, _t.c.starred.is_(True))
    with db.reading() as connection:
        return np.array(list(connection.scalars(query.order_by(_t.c.feature))), dtype=np.int64)


def notes(db: Database, extraction_id: str) -> dict[int, dict[str, str]]:
    """The notes of an extraction, {"text", "saved"} by feature."""
    query = sa.select(_t.c.feature, _t.c.note, _t.c.note_saved)
    with db.reading() as connection:
        rows = connection.execute(query.where(_t.c.extraction_id == extraction_id, _t.c.note.is_not(None)))
        return {row.feature: {"text": row.note, "saved": row.note_saved} for row in rows}


Version = tuple[int, int, int, float]


def version(db: Database) -> Version:
    """Another value whenever a label, a score, a choice or a mark of any extraction is written."""
    newest = [sa.func.max(table.c.id) for table in (schema.labels, schema.scores, schema.label_choices)]
    asked = [sa.select(each).scalar_subquery() for each in (*newest, sa.func.max(_t.c.changed))]
    with db.reading() as connection:
        row: sa.Row[Any] = connection.execute(sa.select(*asked)).one()
    labels, scores, choices, changed = tuple(row)
    return labels or 0, scores or 0, choices or 0, changed or 0.0


def settings(db: Database) -> dict[str, Any]:
    """Every setting, by name."""
    with db.reading() as connection:
        return {row.name: row.value for row in connection.execute(sa.select(schema.settings))}


def set_settings(db: Database, values: dict[str, Any]) -> None:
    """Set some settings; null removes one."""
    table = schema.settings
    with db.writing() as connection:
        connection.execute(table.delete().where(table.c.name.in_(list(values))))
        rows = [{"name": name, "value": value} for name, value in values.items() if value is not None]
        if rows:
            connection.execute(table.insert(), rows)


def _set(db: Database, extraction_id: str, feature: int, values: dict[str, Any]) -> None:
    of_it = (_t.c.extraction_id == extraction_id, _t.c.feature == feature)
    with db.writing() as connection:
        in_order(connection)
        values = values | {"changed": time.time()}
        if not connection.execute(_t.update().where(*of_it).values(**values)).rowcount:
            row = {"starred": False, "note": None, "note_saved": None} | values
            connection.execute(_t.insert().values(extraction_id=extraction_id, feature=feature, **row))
