"""A feature's examples as JSON, without an object for each of their thousands of tokens."""

from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute

from ..store.browse import Browse
from ..store.features import as_rows

pc: Any = pyarrow.compute  # its functions are made when it is imported: no type checker knows them


def examples_json(browse: Browse, index: int, stratum: str | None = None) -> bytes:
    """What `looking.show_examples` says."""
    table = browse.store.examples_of(index, stratum)
    if not len(table):
        return b"[]"
    rows = as_rows(table)
    for row, tokens in zip(rows, _tokens(table, browse.quoted), strict=True):
        row["tokens"] = orjson.Fragment(tokens)
    return orjson.dumps(rows)


def _tokens(table: pa.Table, quoted: pa.StringArray) -> list[str]:
    """The tokens of each example as a JSON list."""
    ids = table.column("token_ids").combine_chunks()
    starts = pc.subtract(ids.offsets, ids.offsets[0])  # of a slice, the first is not 0
    lists = pa.ListArray.from_arrays(starts, quoted.take(ids.flatten()))
    return [f"[{each}]" for each in pc.binary_join(lists, ",").to_pylist()]
