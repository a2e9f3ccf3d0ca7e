"""Documents in one Parquet file: written in order, without blank ones; read in order or one at a time."""

import json
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

from ..errors import BadSource, BrokenHome
from ..home import no_space
from ..records import Progress, Record
from .sources import Source
from .token_store import quantiles

Report = Callable[[Progress], object]

_SCHEMA = pa.schema([("document", pa.int64()), ("text", pa.string())])
_GROUP_DOCUMENTS = 1024
_GROUP_CHARACTERS = 8_000_000  # what is held in memory at once when writing and reading


@dataclass(frozen=True)
class DocumentsSummary(Record):
    """What one import brought in."""

    documents: int
    blank: int
    """Documents without any text, left out."""
    characters: int
    fingerprint: str
    """Hash of the texts, in order."""
    repaired: int = 0
    """Documents with half a surrogate pair, which no UTF-8 can hold; each half became U+FFFD."""


def import_documents(source: Source, folder: Path, progress: Report | None = None) -> DocumentsSummary:
    """Write a source's documents to `folder`; ids are 0, 1, … in order; BadSource when none has text."""
    hasher = xxhash.xxh3_128()
    documents = blank = characters = repaired = 0
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with _Writer(folder / "documents.parquet") as writer:
            for text in source.documents():
                if not text.strip():
                    blank += 1
                    continue
                data, whole = _encode(text)
                if data is None:
                    repaired += 1
                    data = whole.encode()
                hasher.update(len(data).to_bytes(8, "little"))
                hasher.update(data)
                writer.add(documents, whole)
                documents += 1
                characters += len(whole)
                if progress is not None and documents % 256 == 0:
                    progress(Progress("import", documents, source.limit, "documents"))
                if documents == source.limit:
                    break
        if documents == 0:
            what = (
                f"all {blank} documents of {source.name!r} are blank"
                if blank
                else f"{source.name!r} holds no documents"
            )
            raise BadSource(what, "give a source with text in it, or another field with --text-field")
        summary = DocumentsSummary(documents, blank, characters, hasher.hexdigest(), repaired)
        (folder / "documents.json").write_text(json.dumps(summary.to_json()))
    except OSError as error:
        raise no_space(error, folder) or error from None
    if progress is not None:
        progress(Progress("import", documents, documents, "documents"))
    return summary


def documents_summary(folder: Path) -> DocumentsSummary:
    """What was written to a folder."""
    try:
        return DocumentsSummary(**json.loads((folder / "documents.json").read_text()))
    except (OSError, ValueError, TypeError):
        raise BrokenHome(
            f"the documents in {str(folder)!r} are damaged", "remove the dataset and add it again"
        ) from None


def read_documents(folder: Path) -> Iterator[tuple[int, str]]:
    """Every document and its text, in order, with one row group in memory."""
    with _opened(folder) as parquet:
        for batch in parquet.iter_batches(batch_size=64):
            columns = batch.to_pydict()
            yield from zip(columns["document"], columns["text"], strict=True)


def document_text(folder: Path, document: int) -> str:
    """The text of one document."""
    with _opened(folder) as parquet:
        groups = parquet.metadata.num_row_groups
        firsts = [0]
        for group in range(groups):
            firsts.append(firsts[-1] + parquet.metadata.row_group(group).num_rows)
        if not 0 <= document < firsts[-1]:
            raise IndexError(document)
        group = bisect_right(firsts, document) - 1
        return parquet.read_row_group(group, columns=["text"]).column(0)[document - firsts[group]].as_py()


def character_quantiles(folder: Path) -> dict[str, int]:
    """Characters per document: min, p10, p25, p50, p75, p90, p99, max (values that occur)."""
    with _opened(folder) as parquet:
        batches = parquet.iter_batches(batch_size=1024, columns=["text"])
        return quantiles(np.concatenate([_lengths(batch.column(0)) for batch in batches]))


def _lengths(texts: pa.Array) -> np.ndarray:
    return pc.call_function("utf8_length", [texts]).to_numpy()


def _encode(text: str) -> tuple[bytes | None, str]:
    """The text's UTF-8, or None and the repaired text."""
    try:
        return text.encode(), text
    except UnicodeEncodeError:
        return None, text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _opened(folder: Path) -> Any:
    try:
        return pq.ParquetFile(folder / "documents.parquet")
    except (pa.ArrowException, OSError):
        raise BrokenHome(
            f"the documents in {str(folder)!r} are damaged", "remove the dataset and add it again"
        ) from None


class _Writer:
    """Rows gathered into row groups of a bounded size."""

    def __init__(self, path: Path) -> None:
        self._file = pq.ParquetWriter(path, _SCHEMA, compression="zstd")
        self._ids: list[int] = []
        self._texts: list[str] = []
        self._characters = 0

    def add(self, document: int, text: str) -> None:
        self._ids.append(document)
        self._texts.append(text)
        self._characters += len(text)
        if len(self._ids) >= _GROUP_DOCUMENTS or self._characters >= _GROUP_CHARACTERS:
            self._flush()

    def _flush(self) -> None:
        if self._ids:
            self._file.write_table(pa.table([self._ids, self._texts], schema=_SCHEMA))
        self._ids, self._texts, self._characters = [], [], 0

    def __enter__(self) -> "_Writer":
        return self

    def __exit__(self, kind: type | None, *rest: object) -> None:
        if kind is None:
            self._flush()
        self._file.close()
