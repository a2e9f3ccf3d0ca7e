"""A home per test, with its catalogue on SQLite and on a real PostgreSQL where that is installed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from saescope.home import Home
from saescope.records import Extraction
from saescope.store import Database, catalogue, open_database
from support.catalogue import a_dataset, a_model, an_extraction, an_sae


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.delenv("SAESCOPE_DATABASE_URL", raising=False)
    return Home(tmp_path / "home")


@pytest.fixture(params=["sqlite", "postgresql"])
def any_home(request: pytest.FixtureRequest, home: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home with its catalogue on SQLite, then one with it on PostgreSQL: the same tests hold for both."""
    if request.param == "postgresql":
        monkeypatch.setenv("SAESCOPE_DATABASE_URL", request.getfixturevalue("postgresql_database"))
    return home


@pytest.fixture
def db(any_home: Home) -> Iterator[Database]:
    with open_database(any_home) as database:
        yield database


@pytest.fixture
def extraction(db: Database) -> Extraction:
    """An extraction in the catalogue, with all that it was made of."""
    record = an_extraction()
    catalogue.add_dataset(db, a_dataset())
    catalogue.add_model(db, a_model())
    catalogue.add_sae(db, an_sae())
    catalogue.add_extraction(db, record)
    return record
