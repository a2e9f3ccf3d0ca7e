"""Every feature with its label in one file: Parquet, CSV or JSON lines, by the file's suffix."""

import json
import math
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.csv
import pyarrow.parquet as pq

from ..errors import BadSource, BadValue, NameTaken
from ..home import no_space, sync_folder
from .features import FeatureStore
from .listing import Labels

pc: Any = pyarrow.compute  # its functions are made when it is imported: no type checker knows them


def export_features(
    store: FeatureStore, labels: Labels, path: Path, *, overwrite: bool = False, rows: np.ndarray | None = None
) -> int:
    """Write every feature, dead ones included, or these `rows` in this order; the file appears when it is whole.

    Returns how many. In CSV, lists are JSON, and text that a spreadsheet would run as a formula is preceded by an
    apostrophe. Raises BadValue for an unknown suffix, NameTaken when the file exists, NoSpace when the disk is full.
    """
    writer = _WRITERS.get(path.suffix.lower())
    if writer is None:
        raise BadValue(
            f"{path.name!r}: cannot write {path.suffix or 'a file without suffix'!r}",
            f"use {', '.join(_WRITERS)}",
        )
    if path.is_dir() or (path.exists() and not overwrite):
        raise NameTaken(f"{str(path)!r} is already there", "give another file, or remove that one first")
    if not path.parent.is_dir():
        raise BadSource(f"folder {str(path.parent)!r} is not there", "make it first")
    _, shown = store.list(labels=labels)
    table = store.to_arrow()
    for name in ("label", "label_source", "clarity"):
        table = table.append_column(name, shown.column(name))
    if rows is not None:
        table = table.take(pa.array(rows))
    draft = path.with_name(f".{secrets.token_hex(8)}{path.suffix}")
    try:
        writer(table, draft)
        sync_folder(draft)
        draft.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        full = no_space(error, path.parent)
        raise full or BadSource(f"{str(path)!r} cannot be written: {error.strerror}", "give another file") from None
    finally:
        draft.unlink(missing_ok=True)
    return len(table)


def _parquet(table: pa.Table, path: Path) -> None:
    pq.write_table(table, path, compression="zstd")


def _csv(table: pa.Table, path: Path) -> None:
    columns = []
    for column in table.columns:
        if pa.types.is_nested(column.type):
            columns.append(_joined_lists(column))
        elif pa.types.is_string(column.type):
            columns.append(pc.replace_substring_regex(column, r"\A([=+\-@\t\r])", r"'\1"))
        else:
            columns.append(column)
    pyarrow.csv.write_csv(pa.table(columns, table.column_names), path)


def _joined_lists(column: pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Lists of numbers as JSON."""
    inside = pc.binary_join(column.cast(pa.list_(pa.string())), ", ")
    return pc.binary_join_element_wise("[", inside, "]", "")


def _jsonl(table: pa.Table, path: Path) -> None:
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        for batch in table.to_batches(4096):
            for row in batch.to_pylist():
                file.write(json.dumps({name: _finite(value) for name, value in row.items()}, ensure_ascii=False) + "\n")


def _finite(value: Any) -> Any:
    """JSON has no NaN: null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


_WRITERS: dict[str, Callable[[pa.Table, Path], None]] = {".parquet": _parquet, ".csv": _csv, ".jsonl": _jsonl}
