"""Pieces of documents laid into rows of equal length, and the account of what lies where."""

import contextlib
from pathlib import Path

import numpy as np
import xxhash

from .encoding import Piece
from .token_store import SEGMENT, ArrayFile

_HELD = 1 << 20  # tokens gathered before they are written


class Packer:
    """Lays tokens after each other; a row is `first` and then `context - 1` of them."""

    def __init__(self, folder: Path, context: int, first: int, separator: int, padding: int, *, apart: bool) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._payload = context - 1
        self._first, self._separator, self._padding, self._apart = first, separator, padding, apart
        self._tokens = ArrayFile(folder / "tokens.npy", np.dtype(np.int32), (context,))
        self._lengths = ArrayFile(folder / "lengths.npy", np.dtype(np.int32))
        self._segments = ArrayFile(folder / "segments.npy", np.dtype(np.int64), (len(SEGMENT),))
        self._documents = ArrayFile(folder / "document_lengths.npy", np.dtype(np.int64))
        self._hasher = xxhash.xxh3_128()
        self._held: list[np.ndarray] = []
        self._held_tokens = 0
        self._position = 0  # tokens laid so far, fillers included, first ones not
        self._short: dict[int, int] = {}  # rows that are not full, and how long they are
        self._open_segments: list[list[int]] = []
        self._document, self._document_tokens, self._end = -1, 0, 0
        self._counts: list[int] = []
        self.text_tokens = 0
        self.tokens = 0
        self.rows = 0

    @property
    def fingerprint(self) -> str:
        """Hash of all rows."""
        return self._hasher.hexdigest()

    def add(self, piece: Piece) -> None:
        """Lay one piece; pieces come in the order of their documents."""
        if piece.document != self._document:
            self._document, self._document_tokens, self._end = piece.document, 0, 0
        if len(piece.ids):
            if self._document_tokens == 0:
                self._begin_document()
            self._account(piece)
            self._lay(piece.ids)
            self._document_tokens += len(piece.ids)
            self.text_tokens += len(piece.ids)
        if piece.last:
            if self._document_tokens:
                self._open_segments[-1][5] = piece.offset + piece.length
            self._counts.append(self._document_tokens)
            if len(self._counts) >= 65_536 or self._held_tokens >= _HELD:
                self._flush()

    def finish(self) -> None:
        """Fill the last row with padding and write what is held."""
        self._fill_row()
        self._flush()
        self._write_segments(len(self._open_segments))

    def _begin_document(self) -> None:
        if self._position == 0:
            return
        if self._apart:
            self._fill_row()
        else:
            self._lay(np.array([self._separator], dtype=np.int32))

    def _fill_row(self) -> None:
        if used := self._position % self._payload:
            self._short[self._position // self._payload] = 1 + used
            self._lay(np.full(self._payload - used, self._padding, dtype=np.int32))

    def _lay(self, ids: np.ndarray) -> None:
        self._held.append(ids)
        self._held_tokens += len(ids)
        self._position += len(ids)

    def _account(self, piece: Piece) -> None:
        """One segment for each row that the piece touches; a document's segments leave no character out."""
        token = 0
        while token < len(piece.ids):
            row, used = divmod(self._position + token, self._payload)
            count = min(self._payload - used, len(piece.ids) - token)
            start = min(piece.offset + piece.characters(token)[0], self._end)
            end = max(piece.offset + piece.characters(token + count - 1)[1], self._end)
            before = self._open_segments[-1] if self._open_segments else None
            if before is not None and before[0] == row and before[3] == piece.document:
                before[2] += count
                before[5] = end
            else:
                self._open_segments.append([row, 1 + used, count, piece.document, start, end])
            self._end = end
            token += count

    def _flush(self) -> None:
        """Write all full rows, and all segments but the last, which may still grow."""
        flat = np.concatenate([*self._held, np.empty(0, dtype=np.int32)])
        full = len(flat) // self._payload
        if full:
            rows = np.empty((full, 1 + self._payload), dtype=np.int32)
            rows[:, 0] = self._first
            rows[:, 1:] = flat[: full * self._payload].reshape(full, self._payload)
            lengths = np.full(full, 1 + self._payload, dtype=np.int32)
            for row in [row for row in self._short if row < self.rows + full]:
                lengths[row - self.rows] = self._short.pop(row)
            self._tokens.append(rows)
            self._lengths.append(lengths)
            self._hasher.update(rows.data)
            self.rows += full
            self.tokens += int(lengths.sum())
        rest = flat[full * self._payload :].copy()
        self._held, self._held_tokens = [rest], len(rest)
        self._documents.append(np.array(self._counts, dtype=np.int64))
        self._counts = []
        self._write_segments(len(self._open_segments) - 1)

    def _write_segments(self, count: int) -> None:
        if count > 0:
            self._segments.append(np.array(self._open_segments[:count], dtype=np.int64))
            del self._open_segments[:count]

    def __enter__(self) -> "Packer":
        return self

    def __exit__(self, *error: object) -> None:
        with contextlib.ExitStack() as files:  # all are closed, also when closing one fails on a full disk
            for file in (self._tokens, self._lengths, self._segments, self._documents):
                files.callback(file.close)
