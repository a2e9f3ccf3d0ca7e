"""Rows of metrics: a line for every so many steps while an SAE is trained, a Parquet file beside it afterwards.

work/train-…/metrics.jsonl          while it is trained; readable at any time
artifacts/saes/ID/metrics.parquet   kept with the finished SAE
"""

import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from .. import faults
from ..home import Home, runs_of
from ..records import Job

LINES, TABLE = "metrics.jsonl", "metrics.parquet"

SCHEMA = pa.schema(
    [
        ("step", pa.int64()),
        ("tokens", pa.int64()),
        ("loss", pa.float64()),
        ("fvu", pa.float64()),
        ("l0", pa.float64()),
        ("l1", pa.float64()),
        ("dead", pa.int64()),
        ("dense", pa.int64()),
        ("densities", pa.list_(pa.int64())),
        ("shrinkage", pa.float64()),
        ("lr", pa.float64()),
        ("ce_recovered", pa.float64()),
        ("kl", pa.float64()),
        ("tokens_per_second", pa.float64()),
    ]
)
"""Columns; ce_recovered and kl stand in the rows of steps that were evaluated. Only the last depends on the clock."""


class MetricLines:
    """The rows of a run in the making; what was written is there after a kill, up to the last checkpoint for sure."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / LINES

    def begin(self, step: int) -> None:
        """Keep the rows up to a step, that of the checkpoint a run goes on from; rows after it will come again."""
        kept = [row for row in _rows(self._file) if row["step"] <= step]
        self._file.parent.mkdir(parents=True, exist_ok=True)
        draft = self._file.with_suffix(".new")
        draft.write_text("".join(json.dumps(row) + "\n" for row in kept))
        faults.point("metrics.cut")
        draft.replace(self._file)

    def add(self, row: dict[str, Any]) -> None:
        """Write one more row."""
        with open(self._file, "a") as file:
            file.write(json.dumps(row) + "\n")

    def sync(self) -> None:
        """Force what was written to the disk: before the checkpoint that stands for it."""
        with open(self._file, "ab") as file:
            os.fsync(file.fileno())

    def keep(self, folder: Path) -> None:
        """Write all rows as a table into the folder of the finished SAE."""
        pq.write_table(pa.Table.from_pylist(_rows(self._file), SCHEMA), folder / TABLE, compression="zstd")


def metrics(folder: Path) -> pa.Table:
    """The rows of a training, under way (its work folder) or finished (its SAE's); empty where there are none."""
    table = folder / TABLE
    if table.exists():
        return pq.read_table(table)
    return pa.Table.from_pylist(_rows(folder / LINES), SCHEMA)


def newest_rows(home: Home, job: Job) -> list[dict[str, Any]]:
    """The last row of each training of a job, under way or finished."""
    tables = [metrics(folder) for _, folder in _trainings(home, job)]
    return [row for table in tables for row in table.slice(max(0, len(table) - 1)).to_pylist()]


def runs_of_job(home: Home, job: Job, after: int = -1) -> list[dict[str, Any]]:
    """For each training of a job: its SAE's name when it is finished, its columns beyond a step, its checkpoints."""
    return [_run(name, folder, after) for name, folder in _trainings(home, job)]


def _trainings(home: Home, job: Job) -> list[tuple[str | None, Path]]:
    """The folders of a job's trainings: of a finished one with its SAE's name, of one under way with None."""
    finished = [(each["name"], home.artifact("saes", each["id"])) for each in job.made if each["kind"] == "sae"]
    return [*finished, *((None, folder) for folder in runs_of(home.work, job.id))]


def _run(sae: str | None, folder: Path, after: int) -> dict[str, Any]:
    """Of one training; densities stay away, which are a list a row."""
    table = metrics(folder).drop_columns(["densities"])
    columns = table.filter(pa.array(table["step"].to_numpy() > after)).to_pydict()
    steps = sorted(int(place.name.removeprefix("step-")) for place in folder.glob("step-*"))
    return {"sae": sae, "metrics": columns, "checkpoints": steps}


def _rows(file: Path) -> list[dict[str, Any]]:
    """Every whole line; a last one that a kill cut off is none."""
    if not file.exists():
        return []
    rows = []
    for line in file.read_text().splitlines():
        try:
            rows.append(json.loads(line))
        except ValueError:
            break
    return rows
