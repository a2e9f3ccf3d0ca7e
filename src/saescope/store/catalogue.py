"""Datasets, models, SAEs and extractions by name: one set of functions per kind, records in and out.

A row goes in when the thing's artifacts are whole, and goes out before they are discarded: what is listed is
there. Records speak of each other by name; the rows hold ids, checked by the database.
"""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Generic, Literal, TypeVar

import sqlalchemy as sa
from sqlalchemy import exc

from .. import faults
from ..errors import NameTaken, NotFound, WrongRequest
from ..records import Dataset, Extraction, Model, SaeInfo
from . import schema
from .database import Database
from .jobs import fence, note

KindName = Literal["dataset", "model", "sae", "extraction"]

Thing = Dataset | Model | SaeInfo | Extraction
R = TypeVar("R", Dataset, Model, SaeInfo, Extraction)

_SHOWN = 20
"""Names listed in a message before it says how many more there are."""


def add_dataset(db: Database, record: Dataset) -> None:
    """Add a dataset; NameTaken when there is one of that name."""
    _add(db, _DATASET, record)


def dataset(db: Database, name: str) -> Dataset:
    """The dataset of that name; NotFound otherwise."""
    return _one(db, _DATASET, name)


def datasets(db: Database) -> list[Dataset]:
    """Every dataset, oldest first."""
    return _all(db, _DATASET)


def add_model(db: Database, record: Model) -> None:
    """Add a model; NameTaken when there is one of that name."""
    _add(db, _MODEL, record)


def model(db: Database, name: str) -> Model:
    """The model of that name; NotFound otherwise."""
    return _one(db, _MODEL, name)


def models(db: Database) -> list[Model]:
    """Every model, oldest first."""
    return _all(db, _MODEL)


def add_sae(db: Database, record: SaeInfo) -> None:
    """Add an SAE; NameTaken when there is one of that name, NotFound when its model is not there."""
    _add(db, _SAE, record)


def sae(db: Database, name: str) -> SaeInfo:
    """The SAE of that name; NotFound otherwise."""
    return _one(db, _SAE, name)


def saes(db: Database) -> list[SaeInfo]:
    """Every SAE, oldest first."""
    return _all(db, _SAE)


def add_extraction(db: Database, record: Extraction) -> None:
    """Add an extraction; NameTaken when there is one of that name, NotFound when its parts are gone."""
    _add(db, _EXTRACTION, record)


def extraction(db: Database, name: str) -> Extraction:
    """The extraction of that name; NotFound otherwise."""
    return _one(db, _EXTRACTION, name)


def extractions(db: Database) -> list[Extraction]:
    """Every extraction, oldest first."""
    return _all(db, _EXTRACTION)


def newest_extraction(db: Database, sae_name: str) -> Extraction | None:
    """The newest extraction made with an SAE, None when there is none; NotFound when there is no such SAE."""
    with db.reading() as connection:
        id = _id_of(connection, _SAE, sae_name)
        rows = connection.execute(_EXTRACTION.select().where(schema.extractions.c.sae_id == id)).mappings()
        made = [_EXTRACTION.record(**row) for row in rows]
    return made[-1] if made else None


def find(db: Database, kind: KindName, name: str) -> Thing:
    """The thing of that kind and name; NotFound otherwise."""
    return _one(db, _KINDS[kind], name)


def remove(db: Database, kind: KindName, name: str) -> Thing:
    """Remove a row, an extraction's labels with it; WrongRequest while something else is made from that thing."""
    return _remove(db, _KINDS[kind], name)


def listed(db: Database, kind: KindName, id: str) -> bool:
    """Whether something of that kind has that id."""
    table = _KINDS[kind].table
    with db.reading() as connection:
        return connection.scalar(sa.select(table.c.id).where(table.c.id == id)) is not None


def name_free(db: Database, kind: KindName, name: str) -> None:
    """Raise NameTaken when something of that kind already has that name."""
    with db.reading() as connection:
        _check_free(connection, _KINDS[kind], name)


# ---- the same for every kind -----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Kind(Generic[R]):
    word: KindName
    said: str
    """The word in a sentence."""
    table: sa.Table
    record: Callable[..., R]
    links: Mapping[str, KindName]
    """Fields of the record that hold another thing's name; the row's FIELD_id holds its id."""
    how_to_add: str

    def select(self) -> Any:
        """Rows as the record's fields, links as names, oldest first."""
        columns: list[Any] = [column for column in self.table.c if not column.foreign_keys]
        source: sa.FromClause = self.table
        for field, word in self.links.items():
            other = _KINDS[word].table
            source = source.join(other, self.table.c[f"{field}_id"] == other.c.id)
            columns.append(other.c.name.label(field))
        return sa.select(*columns).select_from(source).order_by(self.table.c.created, self.table.c.id)


_DATASET = _Kind("dataset", "dataset", schema.datasets, Dataset, {}, "saescope dataset add")
_MODEL = _Kind("model", "model", schema.models, Model, {}, "saescope model add")
_SAE = _Kind("sae", "SAE", schema.saes, SaeInfo, {"model": "model"}, "saescope sae add` or `saescope train")
_EXTRACTION = _Kind(
    "extraction",
    "extraction",
    schema.extractions,
    Extraction,
    {"sae": "sae", "model": "model", "dataset": "dataset"},
    "saescope extract",
)
_KINDS: dict[KindName, _Kind[Any]] = {kind.word: kind for kind in (_DATASET, _MODEL, _SAE, _EXTRACTION)}


def _add(db: Database, kind: _Kind[R], record: R) -> None:
    values = {name: value for name, value in asdict(record).items() if name not in kind.links}
    with db.writing() as connection:
        fence(connection)
        _check_free(connection, kind, record.name)
        for field, word in kind.links.items():
            values[f"{field}_id"] = _id_of(connection, _KINDS[word], getattr(record, field))
        try:
            connection.execute(kind.table.insert().values(**values))
            note(connection, kind.word, record.id, record.name)
        except exc.IntegrityError as error:
            raise _taken(kind, record.name) from error
        faults.point("listing.writing")
    faults.point("listing.committed")


def _one(db: Database, kind: _Kind[R], name: str) -> R:
    with db.reading() as connection:
        row = connection.execute(kind.select().where(kind.table.c.name == name)).mappings().one_or_none()
        if row is None:
            raise _not_found(connection, kind, name)
    return kind.record(**row)


def _all(db: Database, kind: _Kind[R]) -> list[R]:
    with db.reading() as connection:
        return [kind.record(**row) for row in connection.execute(kind.select()).mappings()]


def _remove(db: Database, kind: _Kind[R], name: str) -> R:
    with db.writing() as connection:
        row = connection.execute(kind.select().where(kind.table.c.name == name)).mappings().one_or_none()
        if row is None:
            raise _not_found(connection, kind, name)
        record = kind.record(**row)
        for other in _KINDS.values():
            _check_unused(connection, kind, record, other)
        connection.execute(kind.table.delete().where(kind.table.c.id == record.id))
    return record


def _check_unused(connection: sa.Connection, kind: _Kind[R], record: R, other: _Kind[Any]) -> None:
    for field, word in other.links.items():
        if word != kind.word:
            continue
        query = sa.select(other.table.c.name).where(other.table.c[f"{field}_id"] == record.id)
        users = list(connection.scalars(query.order_by(other.table.c.id)))
        if users:
            said = other.said if len(users) == 1 else f"{other.said}s"
            raise WrongRequest(
                f"{kind.said} {record.name!r} is used by {said} {_listed(users)}",
                f"remove {'it' if len(users) == 1 else 'them'} first",
            )


def _check_free(connection: sa.Connection, kind: _Kind[Any], name: str) -> None:
    if connection.scalar(sa.select(kind.table.c.id).where(kind.table.c.name == name)) is not None:
        raise _taken(kind, name)


def _taken(kind: _Kind[Any], name: str) -> NameTaken:
    article = "an" if kind.said[0] in "eS" else "a"
    return NameTaken(
        f"there is already {article} {kind.said} named {name!r}",
        "give another name, or remove that one first",
    )


def _id_of(connection: sa.Connection, kind: _Kind[Any], name: str) -> str:
    id = connection.scalar(sa.select(kind.table.c.id).where(kind.table.c.name == name))
    if id is None:
        raise _not_found(connection, kind, name)
    return id


def _not_found(connection: sa.Connection, kind: _Kind[Any], name: str) -> NotFound:
    names = list(connection.scalars(sa.select(kind.table.c.name).order_by(kind.table.c.name)))
    if not names:
        return NotFound(f"no {kind.said} {name!r}", f"there are none yet; add one with `{kind.how_to_add}`")
    close = difflib.get_close_matches(name, names, n=3)
    meant = f"did you mean {' or '.join(map(repr, close))}? " if close else ""
    return NotFound(f"no {kind.said} {name!r}", f"{meant}there are: {_listed(names)}")


def _listed(names: list[str]) -> str:
    shown = ", ".join(map(repr, names[:_SHOWN]))
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"
