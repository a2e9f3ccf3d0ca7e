"""One reader per kind of file: each yields the texts in order, and says exactly where a file goes wrong."""

import codecs
import csv
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import BadSource

KINDS = (".txt", ".jsonl", ".csv", ".parquet")
_LARGEST = (1 << 31) - 1  # bytes of one text in an Arrow string column


@dataclass(frozen=True)
class TextFile:
    """A file by the name that messages call it by, and how to open it."""

    name: str
    open: Callable[[], BinaryIO]


def kind_of(name: str) -> str:
    """The ending of a file name, in small letters, with its dot; '' without one."""
    base = name.replace("\\", "/").rsplit("/", 1)[-1]
    dot = base.rfind(".")
    return base[dot:].lower() if dot > 0 else ""


def read_texts(file: TextFile, kind: str, field: str | None) -> Iterator[str]:
    """The texts of one file; a record without the field, or with null in it, is a blank document."""
    if kind == ".txt":
        yield _whole_text(file)
    elif kind == ".parquet":
        yield from _parquet_texts(file, field or "")
    else:
        for where, record in records(file, kind):
            value = record.get(field or "")
            if value is not None and not isinstance(value, str):
                raise BadSource(
                    f"{file.name!r} {where}: field {field!r} holds {_json_kind(value)}, not text",
                    "choose a field that holds text with --text-field",
                )
            yield value or ""


def records(file: TextFile, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The records of a .jsonl or .csv file, each with where it stands ("line 7")."""
    try:
        yield from _jsonl_records(file) if kind == ".jsonl" else _csv_records(file)
    except UnicodeDecodeError:
        raise _not_text(file, _first_bad_byte(file)) from None


def open_parquet(handle: BinaryIO, name: str) -> pq.ParquetFile:
    """A Parquet file's reader; BadSource when it is truncated or something else."""
    try:
        return pq.ParquetFile(handle)
    except (pa.ArrowException, OSError) as error:
        raise _bad_parquet(name, error) from None


def is_text_type(type: pa.DataType) -> bool:
    if pa.types.is_dictionary(type):
        type = type.value_type
    return pa.types.is_string(type) or pa.types.is_large_string(type) or pa.types.is_string_view(type)


def _whole_text(file: TextFile) -> str:
    with file.open() as handle:
        data = handle.read()
    if len(data) > _LARGEST:
        hint = "split it, or turn it into .jsonl with a document a line"
        raise BadSource(f"{file.name!r} is one document of {len(data)} bytes; the most is {_LARGEST}", hint)
    try:
        return data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise _not_text(file, error.start) from None


def _jsonl_records(file: TextFile) -> Iterator[tuple[str, dict[str, Any]]]:
    with file.open() as handle:
        for number, line in enumerate(handle, start=1):
            text = line.decode("utf-8")
            if number == 1:
                text = text.removeprefix("\ufeff")
            if not text.strip():
                continue
            try:
                record = json.loads(text)
            except json.JSONDecodeError as error:
                raise _bad_json(file, number, f"{error.msg} at column {error.colno}") from None
            except (ValueError, RecursionError) as error:
                raise _bad_json(file, number, str(error).splitlines()[0]) from None
            if not isinstance(record, dict):
                raise _bad_json(file, number, f"it holds {_json_kind(record)}, not an object")
            yield f"line {number}", record


def _csv_records(file: TextFile) -> Iterator[tuple[str, dict[str, Any]]]:
    csv.field_size_limit(_LARGEST)
    with file.open() as handle, io.TextIOWrapper(handle, encoding="utf-8-sig", newline="") as text:
        rows = csv.reader(text, strict=True)
        try:
            header = next(rows, [])
            for row in rows:
                if len(row) > len(header):
                    what = f"{len(row)} fields where the header has {len(header)}"
                    raise _bad_csv(file, rows.line_num, what)
                yield f"line {rows.line_num}", dict(zip(header, row, strict=False))
        except csv.Error as error:
            raise _bad_csv(file, rows.line_num, str(error)) from None


def _parquet_texts(file: TextFile, field: str) -> Iterator[str]:
    with file.open() as handle:
        parquet = open_parquet(handle, file.name)
        schema = parquet.schema_arrow
        if field not in schema.names:
            fields = ", ".join(schema.names)
            raise BadSource(f"{file.name!r} has no field {field!r}; its fields are: {fields}", "choose one of these")
        if not is_text_type(schema.field(field).type):
            hint = "choose a field that holds text with --text-field"
            raise BadSource(f"{file.name!r}: field {field!r} holds {schema.field(field).type}, not text", hint)
        try:
            for batch in parquet.iter_batches(batch_size=1024, columns=[field]):
                for value in batch.column(0).to_pylist():
                    yield value or ""
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise _bad_parquet(file.name, error) from None


def _first_bad_byte(file: TextFile) -> int:
    """The offset of the first byte that is not UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    offset = 0
    with file.open() as handle:
        while True:
            chunk = handle.read(1 << 20)
            held = len(decoder.getstate()[0])
            try:
                decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                return offset - held + error.start
            if not chunk:
                return offset
            offset += len(chunk)


def _not_text(file: TextFile, offset: int) -> BadSource:
    hint = "give text files in UTF-8; convert other encodings first (iconv -t UTF-8)"
    return BadSource(f"{file.name!r} is not UTF-8 text: the byte at offset {offset} does not fit", hint)


def _bad_json(file: TextFile, line: int, what: str) -> BadSource:
    return BadSource(f"{file.name!r} line {line} is not a JSON record: {what}", "write one JSON object per line")


def _bad_csv(file: TextFile, line: int, what: str) -> BadSource:
    hint = "quote fields that hold commas, quotes or line ends"
    return BadSource(f"{file.name!r} line {line} is not CSV: {what}", hint)


def _bad_parquet(name: str, error: Exception) -> BadSource:
    reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
    return BadSource(f"{name!r} is not a whole Parquet file: {reason}", "fetch or write it again")


def _json_kind(value: Any) -> str:
    names = {
        bool: "true or false",
        int: "a number",
        float: "a number",
        list: "a list",
        dict: "an object",
        str: "text",
    }
    return names.get(type(value), "null")
