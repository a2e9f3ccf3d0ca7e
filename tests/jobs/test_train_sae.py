"""The job of training: what it leaves behind, and how much it trains."""

from typing import Any

import pytest

import saescope
from saescope.errors import NotFound
from saescope.studio import Studio

FIELDS: dict[str, Any] = {
    "model": "wide", "dataset": "text", "hookpoint": "layers.1.resid_post", "d_sae": 16, "k": 2, "context": 16
}  # fmt: skip


def test_no_more_tokens_are_trained_on_than_were_asked_for(studio: Studio) -> None:
    assert studio.run(saescope.TrainSae(**FIELDS, tokens=100, batch=1_000_000_000))["tokens"] == 100


def test_a_run_that_cannot_be_resumed_leaves_no_work_behind(studio: Studio) -> None:
    with pytest.raises(NotFound, match="no checkpoint"):
        studio.run(saescope.TrainSae(**FIELDS, tokens=100), resume=True)
    assert list(studio.home.work.iterdir()) == []
