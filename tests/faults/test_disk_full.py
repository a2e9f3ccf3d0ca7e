"""No space left: one clear line, and nothing half-made.

On a small tmpfs where one may be mounted (root), and under a limit on the size of files everywhere.
"""

import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from saescope.errors import BrokenHome, NoSpace
from saescope.home import Home, write_whole
from saescope.store import catalogue, open_database
from saescope.store.export import export_features
from saescope.store.features import FeatureStore, write_extraction
from support.catalogue import a_dataset, a_features_table, an_examples_table

FEATURES = 60_000


@pytest.fixture(params=["full disk", "file limit"])
def narrow(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A folder in which no more than some hundred KB can be written."""
    folder = tmp_path / "narrow"
    folder.mkdir()
    if request.param == "file limit":
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, before[1]))
        try:
            yield folder
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        return
    mount = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no tmpfs may be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def noisy_features() -> pa.Table:
    """Features of which one column cannot be compressed."""
    features = a_features_table(FEATURES)
    noise = np.random.default_rng(0).random(FEATURES)
    return features.set_column(features.schema.get_field_index("second_moment"), "second_moment", [noise])


def files(folder: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]


def test_an_extraction_that_does_not_fit_leaves_nothing(narrow: Path) -> None:
    home = Home(narrow)
    features, examples = noisy_features(), an_examples_table(np.arange(1000))
    with pytest.raises(NoSpace, match="no space left"), home.making("extractions", "X") as folder:
        write_extraction(folder, features, examples)
    assert files(narrow) == []
    assert not home.artifact("extractions", "X").exists()


def test_a_folder_in_the_making_that_does_not_fit_leaves_nothing(narrow: Path) -> None:
    home = Home(narrow)
    with pytest.raises(NoSpace, match="no space left"), home.making("datasets", "X") as folder:
        (folder / "documents").write_bytes(b"x" * 1_000_000)
    assert files(narrow) == []
    with home.making("datasets", "Y") as folder:
        (folder / "documents").write_bytes(b"x" * 1000)
    assert files(narrow) == ["artifacts/datasets/Y/documents"]


def test_a_file_that_does_not_fit_keeps_the_old_one(narrow: Path) -> None:
    write_whole(narrow / "state", b"old")
    with pytest.raises(NoSpace):
        write_whole(narrow / "state", b"x" * 1_000_000)
    assert (narrow / "state").read_bytes() == b"old"
    assert files(narrow) == ["state"]


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_an_export_that_does_not_fit_leaves_nothing(narrow: Path, tmp_path: Path, suffix: str) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (before[1], before[1]))
    (tmp_path / "x").mkdir()
    write_extraction(tmp_path / "x", noisy_features(), an_examples_table(np.arange(3)))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    with pytest.raises(NoSpace):
        export_features(FeatureStore(tmp_path / "x"), None, narrow / f"out{suffix}")
    assert files(narrow) == []


def test_a_catalogue_that_does_not_fit_is_still_whole(narrow: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SAESCOPE_DATABASE_URL", raising=False)
    with open_database(Home(narrow)) as db:
        added = 0
        # SQLite calls a full disk by its name, and a file that may not grow an I/O error.
        with pytest.raises((NoSpace, BrokenHome), match=r"no space left|disk I/O error"):  # noqa: PT012
            while True:
                catalogue.add_dataset(db, a_dataset(f"d{added}-{'x' * 3000}"))
                added += 1
        kept = [dataset.name for dataset in catalogue.datasets(db)]
        assert len(kept) == added > 0
        with db.reading() as connection:
            assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
    with open_database(Home(narrow), read_only=True) as db:
        assert [dataset.name for dataset in catalogue.datasets(db)] == kept
