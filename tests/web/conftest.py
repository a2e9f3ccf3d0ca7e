"""The app, over a home with one small extraction."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI

from saescope.home import Home
from saescope.web.app import create_app
from support.served import TOKEN, filled


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.delenv("SAESCOPE_DATABASE_URL", raising=False)
    return filled(tmp_path / "home")


@pytest.fixture
def app(home: Home) -> Iterator[FastAPI]:
    made = create_app(home, TOKEN)
    yield made
    made.state.site.close()
