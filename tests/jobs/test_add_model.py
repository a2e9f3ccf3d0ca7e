"""What is noted of a model when it is added."""

import re
from pathlib import Path

import pytest

import saescope
from saescope.studio import Studio
from support.hub_server import hub_server
from support.tiny import save_tiny_model


def test_the_number_format_is_settled_when_a_model_is_added(studio: Studio) -> None:
    """`auto` depends on the machine, and so would the fingerprint of a home that is moved."""
    assert studio.show_model("wide")["dtype"] in ("float32", "bfloat16", "float16")


def test_a_hub_model_is_pinned_to_the_commit_that_was_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is pushed to the hub later changes nothing, and what was fetched loads without the hub."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    folder = save_tiny_model(tmp_path / "repository")
    with hub_server({"models/some/model": folder}) as url:
        monkeypatch.setenv("HF_ENDPOINT", url)
        with saescope.open(tmp_path / "home") as studio:
            added = studio.run(saescope.AddModel(name="hubbed", source="some/model"))
    assert re.fullmatch(r"some/model@[0-9a-f]{40}", added["source"])
    with saescope.open(tmp_path / "home") as studio:
        record, model = studio.context.model("hubbed")
    assert model.fingerprint == record.fingerprint
