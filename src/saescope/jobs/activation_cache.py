"""Activations kept on the disk, row by row of the tokenized dataset, so that a second training needs no model.

    artifacts/activations/KEY/
      about.json        what it is: model, hookpoint, dataset, context, format
      starts.npy        where each row's activations begin
      rows.bin          the activations, memory-mapped; its place is taken when it is made
      present.npy       which rows are there: written after their activations are synced, beside and renamed

KEY is a hash of all that decides an activation, so a changed model, dataset or context never finds another's. A cache
fills as rows are read; after a kill it holds what `present` says, and goes on from there.
"""

import errno
import io
import json
import os
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from ..errors import BadValue, NotFound
from ..fingerprint import content_hash
from ..home import Home, no_space, write_whole
from ..store import jobs as job_store
from ..store.database import Database

Format = Literal["float16", "bfloat16", "float32"]

_DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32}
_WORDS = {"float16": np.uint16, "bfloat16": np.uint16, "float32": np.uint32}


class ActivationCache:
    """One hookpoint's activations of one tokenized dataset."""

    def __init__(self, folder: Path, about: dict[str, Any]) -> None:
        self.folder, self.about = folder, about
        self.format: Format = about["format"]
        self._starts = np.load(folder / "starts.npy", allow_pickle=False)
        self._present = np.load(folder / "present.npy", allow_pickle=False)
        shape = (int(self._starts[-1]), int(about["width"]))
        self._words = np.memmap(folder / "rows.bin", _WORDS[self.format], "r+", shape=shape)
        self._written = False

    @classmethod
    def open(cls, home: Home, about: dict[str, Any], counts: np.ndarray) -> "ActivationCache":
        """The cache of exactly these activations, made empty where there is none.

        counts: valid tokens of each row. Raises NoSpace where the disk cannot hold it whole.
        """
        key = content_hash(*(f"{name}={about[name]}" for name in sorted(about)))[:32]
        folder = home.artifact("activations", key)
        if not folder.is_dir():
            starts = np.concatenate([[0], counts.cumsum()]).astype(np.int64)
            with home.making("activations", key) as draft:
                np.save(draft / "starts.npy", starts)
                np.save(draft / "present.npy", np.zeros(len(counts), bool))
                (draft / "about.json").write_text(json.dumps(about, indent=1))
                _take_space(draft / "rows.bin", int(starts[-1]) * about["width"] * _item(about["format"]))
        for draft in folder.glob(".present.npy.*"):  # of a process that was killed
            draft.unlink(missing_ok=True)
        return cls(folder, about)

    def has(self, rows: np.ndarray) -> np.ndarray:
        """Which of these rows are there."""
        return self._present[rows]

    def read(self, rows: np.ndarray) -> Tensor:
        """The activations of rows that are there, one after the other, in float32."""
        parts = [self._words[self._starts[row] : self._starts[row + 1]] for row in rows]
        words = np.concatenate(parts) if parts else self._words[:0].copy()
        return torch.from_numpy(words).view(_DTYPES[self.format]).float()

    def write(self, rows: np.ndarray, x: Tensor) -> Tensor:
        """Keep the activations of rows; they come back as they will be read. `save` makes them count."""
        kept = x.to(_DTYPES[self.format])
        if not bool(torch.isfinite(kept).all()):
            raise BadValue(
                f"activations at {self.about['hookpoint']} are too large for {self.format}", "use --cache bfloat16"
            )
        words = kept.contiguous().view(torch.uint8).numpy().view(_WORDS[self.format])
        at = 0
        for row in rows:
            begin, end = self._starts[row], self._starts[row + 1]
            self._words[begin:end] = words[at : at + end - begin]
            at += end - begin
        self._present[rows] = True
        self._written = True
        return kept.float()

    def save(self) -> None:
        """Force what was written to the disk, then say that it is there."""
        if not self._written:
            return
        self._words.flush()
        present = io.BytesIO()
        np.save(present, self._present)
        write_whole(self.folder / "present.npy", present.getvalue())
        self._written = False


def caches(home: Home) -> list[dict[str, Any]]:
    """Every cache of a home: what it is, how much of it is there, what it takes."""
    found = []
    for folder in sorted(home.artifact("activations", "").glob("*")):
        try:
            about = json.loads((folder / "about.json").read_text())
            present = np.load(folder / "present.npy", allow_pickle=False)
            size = (folder / "rows.bin").stat().st_size
        except (OSError, ValueError):
            continue
        found.append({"id": folder.name, **about, "rows": len(present), "present": int(present.sum()), "bytes": size})
    return found


def remove_cache(home: Home, db: Database, id: str) -> dict[str, Any]:
    """Take one off the disk; refused while a training runs that may be using it."""
    found = [cache for cache in caches(home) if cache["id"].startswith(id)]
    if not id or len(found) != 1:
        what = "is no cache" if not found else "begins the ids of several caches"
        raise NotFound(f"{id!r} {what}", "`saescope cache list` names them")
    running = [job for job in job_store.jobs(db, "running") if _keeps(job.spec)]
    if running:
        raise BadValue("a training with a cache is running", "wait for it, or cancel it")
    home.discard("activations", found[0]["id"])
    return {"removed": "cache", "name": found[0]["id"]}


def _keeps(spec: dict[str, Any]) -> bool:
    return any(one.get("cache", "none") != "none" for one in spec.get("saes", [spec]) if isinstance(one, dict))


def _item(format: str) -> int:
    return np.dtype(_WORDS[format]).itemsize


def _take_space(file: Path, size: int) -> None:
    """A file of that size whose place on the disk is taken: a full disk is told now, not when it is written to."""
    with open(file, "wb") as opened:
        try:
            os.posix_fallocate(opened.fileno(), 0, max(size, 1))
        except OSError as error:
            if error.errno in (errno.EOPNOTSUPP, errno.EINVAL):  # a file system that cannot: found out on writing
                opened.truncate(size)
            else:
                raise no_space(error, file.parent) or error from None
