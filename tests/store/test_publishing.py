"""What a killed process had in the making is removed, and nothing else."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from saescope.errors import NotFound, Unreachable
from saescope.home import Home, locked, new_id
from saescope.store import Database, catalogue, open_database
from saescope.store.publishing import publishing, remove, remove_leftovers
from support.catalogue import a_dataset


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.delenv("SAESCOPE_DATABASE_URL", raising=False)
    return Home(tmp_path / "home")


@pytest.fixture
def db(home: Home) -> Iterator[Database]:
    with open_database(home) as database:
        yield database


def made(home: Home, id: str, *, noted: bool = True) -> Path:
    """A dataset's folder as a process leaves it that is killed after the rename."""
    folder = home.artifact("datasets", id)
    folder.mkdir(parents=True)
    (folder / "documents").write_text("x")
    if noted:
        (home.work / f"datasets-{id}.lock").touch()
    return folder


def test_a_thing_that_was_made_and_not_listed_goes_and_a_listed_one_stays(home: Home, db: Database) -> None:
    record = a_dataset()
    catalogue.add_dataset(db, record)
    listed, unlisted = made(home, record.id), made(home, new_id())
    foreign = made(home, new_id(), noted=False)  # of another catalogue perhaps: nobody noted that it was in the making
    remove_leftovers(home, db)
    assert (listed.exists(), unlisted.exists(), foreign.exists()) == (True, False, True)
    assert list(home.work.iterdir()) == []


def test_a_draft_and_a_grave_go(home: Home, db: Database) -> None:
    draft, grave = home.work / "tokens-0f0f-0123abcd", home.work / "removed-X-01"
    for folder in (draft, grave):
        folder.mkdir()
        (folder / "file").touch()
    draft.with_name(f"{draft.name}.lock").touch()
    remove_leftovers(home, db)
    assert list(home.work.iterdir()) == []


def test_what_a_living_process_makes_is_left_alone(home: Home, db: Database) -> None:
    folder = made(home, id := new_id())
    with locked(home.work / f"datasets-{id}.lock"), home.making("tokens", "0f0f") as draft:
        remove_leftovers(home, db)
        assert folder.exists()
        assert draft.exists()
    assert home.artifact("tokens", "0f0f").exists()


def test_the_state_of_runs_is_left_alone(home: Home, db: Database) -> None:
    run = home.work / "train-0123456789abcdef0123456789abcdef"
    run.mkdir()
    run.with_name(f"{run.name}.lock").touch()
    remove_leftovers(home, db)
    assert run.exists()


def test_a_failure_before_the_listing_takes_the_thing_away(home: Home, db: Database) -> None:
    with pytest.raises(ZeroDivisionError), publishing(home, db, "datasets", id := new_id()):  # noqa: PT012
        folder = made(home, id, noted=False)
        raise ZeroDivisionError
    assert not folder.exists()
    assert list(home.work.iterdir()) == []


def test_where_the_catalogue_is_away_the_next_start_asks_it(
    home: Home, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> bool:
        raise Unreachable("it does not answer", "check SAESCOPE_DATABASE_URL")

    with monkeypatch.context() as patched:
        patched.setattr(catalogue, "listed", away)
        with pytest.raises(Unreachable, match="middle"), publishing(home, db, "datasets", id := new_id()):  # noqa: PT012
            folder = made(home, id, noted=False)
            raise Unreachable("in the middle", "")
    assert folder.exists()
    remove_leftovers(home, db)
    assert not folder.exists()


def test_what_is_removed_goes_with_what_was_made_of_it_alone(home: Home, db: Database) -> None:
    record, other = a_dataset(), a_dataset("other")
    for each in (record, other):
        catalogue.add_dataset(db, each)
    for name, fingerprint in (("0a", record.fingerprint), ("0b", "of no dataset")):
        folder = home.artifact("tokens", name)
        folder.mkdir(parents=True)
        (folder / "about.json").write_text(json.dumps({"dataset": fingerprint}))
    folder = made(home, record.id, noted=False)
    remove(home, db, "dataset", record.name)
    assert not folder.exists()
    assert home.artifact("tokens", "0a").exists() == (other.fingerprint == record.fingerprint)
    assert not home.artifact("tokens", "0b").exists()
    assert list(home.work.iterdir()) == []
    with pytest.raises(NotFound):
        remove(home, db, "dataset", record.name)
