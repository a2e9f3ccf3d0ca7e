"""What the studio makes of a machine's limits."""

from pathlib import Path

import pytest

import saescope
from saescope.errors import NoSpace


@pytest.mark.parametrize(
    "error",
    [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes")],
)
def test_memory_that_runs_out_is_said_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def run(*_: object) -> None:
        raise error

    monkeypatch.setattr("saescope.jobs.add_dataset.run", run)
    with pytest.raises(NoSpace, match="memory ran out"):
        saescope.open(tmp_path).run(saescope.AddDataset(name="text", source="x.txt"))
