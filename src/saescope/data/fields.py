"""Which field of a record holds the text: the one asked for, or a guess that is said aloud."""

from collections.abc import Sequence
from itertools import islice

import pyarrow as pa

from ..errors import BadSource
from .readers import TextFile, is_text_type, open_parquet, records

PREFERRED = ("text", "content", "document", "body", "article")
_LOOK_AT = 100  # records


def choose_field(source: str, files: Sequence[TextFile], kind: str, asked: str | None) -> tuple[str | None, list[str]]:
    """The name of the field that holds the text (None for .txt), and what to tell the user.

    Raises BadSource where there is no such field (listing those there), no text at all, or no record.
    """
    if kind == ".txt":
        if asked is not None:
            hint = "leave out --text-field"
            raise BadSource(f"{source!r} is plain text: there is no field {asked!r} in it", hint)
        return None, []
    fields, texts = _first_look(source, files, kind)
    if asked is not None:
        if asked not in fields:
            hint = "choose one of these with --text-field"
            raise BadSource(f"{source!r} has no field {asked!r}; its fields are: {', '.join(fields)}", hint)
        return asked, []
    if not texts:
        hint = "give a source with a field that holds text"
        raise BadSource(f"no field of {source!r} holds text; its fields are: {', '.join(fields)}", hint)
    by_name = {name.lower(): name for name in reversed(texts)}
    guess = next((by_name[name] for name in PREFERRED if name in by_name), None)
    why = ""
    if guess is None:
        guess = max(texts, key=lambda name: texts[name])
        why = f", the longest on average ({texts[guess]:.0f} characters)" if len(texts) > 1 else ""
    return guess, [f"text field guessed: {guess!r}{why}" + (f", of: {', '.join(fields)}" if len(fields) > 1 else "")]


def _first_look(source: str, files: Sequence[TextFile], kind: str) -> tuple[list[str], dict[str, float]]:
    """The fields of the first records, and the mean length of those that hold text."""
    for file in files:
        rows = _first_rows(file, kind)
        if rows is not None:
            names, values = rows
            texts = {name: sum(map(len, column)) / _LOOK_AT for name, column in values.items()}
            return names, texts
    raise BadSource(f"{source!r} holds no documents", "give files that hold text")


def _first_rows(file: TextFile, kind: str) -> tuple[list[str], dict[str, list[str]]] | None:
    """All field names and the values of text fields; None when the file holds no record."""
    if kind == ".parquet":
        with file.open() as handle:
            parquet = open_parquet(handle, file.name)
            schema = parquet.schema_arrow
            if parquet.metadata.num_rows == 0:
                return None
            texts = [field.name for field in schema if is_text_type(field.type)]
            try:
                batch = next(parquet.iter_batches(batch_size=_LOOK_AT, columns=texts)) if texts else None
                columns = {} if batch is None else batch.to_pydict()
            except (pa.ArrowException, OSError, UnicodeDecodeError):
                columns = {name: [] for name in texts}  # the full reading says what is wrong
        return schema.names, {name: [value or "" for value in columns[name]] for name in texts if name in columns}
    rows = [record for _, record in islice(records(file, kind), _LOOK_AT)]
    if not rows:
        return None
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {name: [row[name] for row in rows if row.get(name) is not None] for name in names}
    return names, {n: c for n, c in columns.items() if c and all(isinstance(value, str) for value in c)}
