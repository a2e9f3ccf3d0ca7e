"""The saved state of runs: one process at a time writes there, and a frozen one is left behind."""

from dataclasses import replace
from pathlib import Path

import pytest

from saescope.errors import WrongRequest
from saescope.home import runs_of
from saescope.jobs.runs import Runs, remove
from saescope.records import Job

NAME = "train-0123456789abcdef0123456789abcdef"


def job(id: str = "A", attempt: int = 1) -> Job:
    fields = dict.fromkeys(Job.__dataclass_fields__)
    return replace(Job(**fields), id=id, attempt=attempt)


def names(work: Path) -> list[str]:
    return sorted(path.name for path in work.iterdir())


def test_a_run_under_way_is_refused_to_another_job(tmp_path: Path) -> None:
    with Runs(tmp_path, job("A")).owning(NAME), pytest.raises(WrongRequest, match="under way"):  # noqa: SIM117
        with Runs(tmp_path, job("B", 2)).owning(NAME):
            pass


def test_a_run_that_saved_nothing_leaves_nothing(tmp_path: Path) -> None:
    with Runs(tmp_path, job()).owning(NAME):
        assert names(tmp_path) == [NAME, f"{NAME}.lock"]
    assert names(tmp_path) == []


def test_what_was_saved_stays_and_says_for_which_job(tmp_path: Path) -> None:
    runs = Runs(tmp_path, job())
    with runs.owning(NAME):
        (runs.folder(NAME) / "state").touch()
    assert names(tmp_path) == [NAME]
    assert runs_of(tmp_path, "A") == [tmp_path / NAME]
    remove(tmp_path / NAME)
    assert names(tmp_path) == []


def test_the_next_start_of_a_job_takes_its_run_away_from_a_frozen_process(tmp_path: Path) -> None:
    frozen, heir, third = (Runs(tmp_path, job("A", attempt)) for attempt in (1, 2, 3))
    with frozen.owning(NAME):
        (frozen.folder(NAME) / "state").write_text("saved")
        with heir.owning(NAME):
            assert heir.folder(NAME).name == f"{NAME}.2"
            assert (heir.folder(NAME) / "state").read_text() == "saved"
            assert not frozen.folder(NAME).exists()
            frozen.folder(NAME).mkdir()  # it woke, and wrote
            (frozen.folder(NAME) / "state").write_text("late")
            (heir.folder(NAME) / "state").write_text("more")
            with third.owning(NAME):
                assert (third.folder(NAME) / "state").read_text() == "more"
                third.clear(NAME)
    assert names(tmp_path) == []


def test_what_an_heir_saved_is_gone_on_from_when_the_frozen_process_has_gone(tmp_path: Path) -> None:
    heir = Runs(tmp_path, job("A", 2))
    (tmp_path / f"{NAME}.2").mkdir()
    (tmp_path / f"{NAME}.2" / "job").write_text("A")
    (tmp_path / f"{NAME}.2" / "state").write_text("saved")
    again = Runs(tmp_path, job("A", 3))
    with again.owning(NAME):
        assert (again.folder(NAME) / "state").read_text() == "saved"
        again.clear(NAME)
    assert names(tmp_path) == []
    assert heir.folder(NAME) == tmp_path / NAME
