"""Broken headers, configurations and programs: refused in one line or loaded, never a crash."""

import random
import time
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from saescope.errors import WrongRequest
from saescope.sae import read_sae
from support.mutations import SOURCES, Sound, mutated, sound, write


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz") / "layer_5"


def outcome(folder: Path) -> tuple[str, list[torch.Tensor]]:
    """What refused a checkpoint, or its weights."""
    try:
        return "", list(read_sae(folder).weights.values())
    except WrongRequest as refusal:
        return str(refusal), []


CHECKPOINTS: dict[str, Sound] = {name: sound(name) for name in SOURCES}


@pytest.mark.parametrize("name", SOURCES)
def test_the_checkpoints_that_are_broken_here_are_sound(name: str, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    write(CHECKPOINTS[name].files, folder)
    assert read_sae(folder).d_in in (8, 24)


@settings(max_examples=2000, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(name=st.sampled_from(list(SOURCES)), seed=st.integers(0, 2**64 - 1))
def test_a_broken_checkpoint_is_refused_or_loaded_and_never_crashes(name: str, seed: int, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    write(mutated(CHECKPOINTS[name], random.Random(seed)), folder)
    clock = time.perf_counter()
    refusal, weights = outcome(folder)
    assert len(refusal.splitlines()) <= 1
    assert len(refusal) < 2000
    assert all(bool(weight.isfinite().all()) for weight in weights)
    assert time.perf_counter() - clock < 5, "a second on an idle machine"
    assert not list(Path.cwd().glob("CANARY"))
