"""Rows of tokens on disk, memory-mapped: which count, and which characters of which document each came from.

tokens.npy            int32 [samples, context], padded at the end of a row
lengths.npy           int32 [samples], tokens of a row that are not padding
segments.npy          int64 [segments, 6], see SEGMENT; ordered by sample and position
document_lengths.npy  int64 [documents], tokens of each document
tokens.json           counts, special ids, packing, fingerprints
"""

import json
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import BrokenHome

SEGMENT = ("sample", "position", "length", "document", "char_start", "char_end")
_QUANTILES = {
    "min": 0.0,
    "p10": 0.1,
    "p25": 0.25,
    "p50": 0.5,
    "p75": 0.75,
    "p90": 0.9,
    "p99": 0.99,
    "max": 1.0,
}


@dataclass(frozen=True)
class TokenStore:
    """Rows of tokens of one dataset under one tokenizer."""

    folder: Path
    context: int
    samples: int
    n_tokens: int
    """Tokens that are not padding, the first of every row included."""
    text_tokens: int
    """Tokens of documents alone."""
    documents: int
    packing: str
    bos_id: int | None
    eos_id: int | None
    pad_id: int
    key: str
    """`token_store_key` of what it was made from."""
    fingerprint: str
    """Hash of the rows."""
    tokens: np.ndarray
    """int32 [samples, context], memory-mapped."""
    lengths: np.ndarray
    """int32 [samples], memory-mapped."""
    segments: np.ndarray
    """int64 [segments, 6] as SEGMENT names them, memory-mapped."""

    @classmethod
    def open(cls, folder: Path) -> "TokenStore":
        """Open a whole store; BrokenHome where files are missing or cut."""
        broken = BrokenHome(f"the token store {folder.name!r} is damaged", "remove it; it is made again when needed")
        try:
            facts = json.loads((folder / "tokens.json").read_text())
            names = ("tokens", "lengths", "segments")
            arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in names}
            store = cls(folder=folder, **facts, **arrays)
        except (OSError, ValueError, TypeError):
            raise broken from None
        if store.tokens.shape != (store.samples, store.context) or store.lengths.shape != (store.samples,):
            raise broken
        return store

    @property
    def special_ids(self) -> tuple[int, ...]:
        """BOS, EOS and padding, each once."""
        return tuple(sorted({id for id in (self.bos_id, self.eos_id, self.pad_id) if id is not None}))

    def valid(self, rows: slice | Sequence[int] | np.ndarray, *, include_special: bool = False) -> np.ndarray:
        """bool [rows, context]: the tokens that count in training, statistics and examples.

        Position 0 and every BOS, EOS and padding token do not; with `include_special` all but the padding do.
        """
        counts = np.arange(self.context) < self.lengths[rows][:, None]
        if not include_special:
            counts[:, 0] = False
            for id in self.special_ids:
                counts &= self.tokens[rows] != id
        return counts

    def spans(self, sample: int) -> list[tuple[int, int, int, int]]:
        """Where a row's text comes from: (position, document, char_start, char_end) for each document in it.

        A document's part of the row begins at `position`. The spans of a document leave no character out; a
        character whose bytes are cut by a row's end belongs to both rows.
        """
        column = self.segments[:, 0]
        first = bisect_left(column, sample)  # type: ignore[arg-type]
        found = []
        for row in self.segments[first : first + self.context]:
            if row[0] != sample:
                break
            found.append((int(row[1]), int(row[3]), int(row[4]), int(row[5])))
        return found

    def document_lengths(self) -> np.ndarray:
        """int64 [documents]: tokens of each document."""
        return np.load(self.folder / "document_lengths.npy", mmap_mode="r", allow_pickle=False)

    def length_quantiles(self) -> dict[str, int]:
        """Tokens per document: min, p10, p25, p50, p75, p90, p99, max (values that occur)."""
        return quantiles(self.document_lengths())


def quantiles(lengths: np.ndarray) -> dict[str, int]:
    """The quantiles that `dataset show` gives, as values that occur."""
    values = np.quantile(lengths, list(_QUANTILES.values()), method="inverted_cdf")
    return {name: int(value) for name, value in zip(_QUANTILES, values, strict=True)}


def write_store(folder: Path, facts: dict[str, Any]) -> None:
    """Write what the arrays do not say; the last file of a store."""
    (folder / "tokens.json").write_text(json.dumps(facts, indent=1))


class ArrayFile:
    """A .npy file that grows along its first axis and never sits in memory."""

    def __init__(self, path: Path, dtype: np.dtype[Any], row: tuple[int, ...] = ()) -> None:
        self._dtype, self._row, self._rows = dtype, row, 0
        self._file = open(path, "wb")  # noqa: SIM115
        self._write_header()

    def append(self, rows: np.ndarray) -> None:
        self._file.write(np.ascontiguousarray(rows, dtype=self._dtype).data)
        self._rows += len(rows)

    def close(self) -> None:
        try:
            self._file.seek(0)
            self._write_header()
        finally:
            self._file.close()

    def _write_header(self) -> None:
        # numpy leaves room for the first axis to grow, so that the header can be written again in place.
        header = {"descr": np.lib.format.dtype_to_descr(self._dtype), "fortran_order": False}
        np.lib.format.write_array_header_1_0(self._file, {**header, "shape": (self._rows, *self._row)})
