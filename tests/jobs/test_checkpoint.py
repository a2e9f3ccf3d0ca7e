"""A saved state: piece by piece, whole or passed over."""

import resource
from pathlib import Path

import pytest
import torch

from saescope.errors import NoSpace
from saescope.extraction.groups import ActiveBatch
from saescope.extraction.state import ExtractionState, Settings
from saescope.jobs import checkpoint

SETTINGS = [Settings(40, top_k=3, window=4, sampled=2, silent=2), Settings(9, top_k=2, window=4)]


def filled(setting: Settings, seed: int) -> ExtractionState:
    """A state that has taken in twelve samples of six positions."""
    dense = torch.rand(12, 6, setting.d_sae, generator=torch.Generator().manual_seed(seed))
    dense = dense.where(dense > 0.7, 0)
    sample, position, feature = dense.nonzero(as_tuple=True)
    state = ExtractionState(setting)
    six = torch.full((12,), 6)
    state.update(
        ActiveBatch(torch.arange(12), six, six, sample, position, feature, dense[sample, position, feature]),
    )
    return state


def contents(state: ExtractionState) -> list[dict[str, list]]:
    return [{name: column.tolist() for name, column in piece.items()} for piece in state.pieces()]


@pytest.fixture(autouse=True)
def many_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        Settings, "ranges", lambda self: [(low, min(low + 16, self.d_sae)) for low in range(0, self.d_sae, 16)]
    )


def test_states_come_back_as_they_were_saved(tmp_path: Path) -> None:
    states = [filled(setting, seed) for seed, setting in enumerate(SETTINGS)]
    checkpoint.save_states(tmp_path / "run", [filled(setting, 7) for setting in SETTINGS])
    checkpoint.save_states(tmp_path / "run", states)
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["state"]
    loaded = checkpoint.load_states(tmp_path / "run", SETTINGS, "cpu")
    assert [contents(state) for state in loaded] == [contents(state) for state in states]


def test_the_state_before_is_taken_where_a_piece_of_the_last_is_missing(tmp_path: Path) -> None:
    before, last = filled(SETTINGS[0], 1), filled(SETTINGS[0], 2)
    checkpoint.save_states(tmp_path / "run", [before])
    (tmp_path / "run" / "state").rename(tmp_path / "run" / "kept")
    checkpoint.save_states(tmp_path / "run", [last])
    (tmp_path / "run" / "kept").rename(tmp_path / "run" / "state.old")
    (tmp_path / "run" / "state" / "0-00002.safetensors").unlink()
    loaded = checkpoint.load_states(tmp_path / "run", SETTINGS[:1], "cpu")
    assert contents(loaded[0]) == contents(before)


def test_states_of_other_settings_are_passed_over(tmp_path: Path) -> None:
    checkpoint.save_states(tmp_path / "run", [filled(SETTINGS[0], 1)])
    assert checkpoint.load_states(tmp_path / "run", [Settings(40, top_k=4)], "cpu") == []
    assert checkpoint.load_states(tmp_path / "none", SETTINGS, "cpu") == []


def test_states_beyond_the_memory_that_is_free_lie_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "_SHARE", 0.0)
    (state,) = checkpoint.new_states(tmp_path, SETTINGS[:1], "cpu")
    assert state.top._file is not None  # type: ignore[union-attr]
    monkeypatch.setattr(checkpoint, "_SHARE", 0.5)
    (state,) = checkpoint.new_states(tmp_path, SETTINGS[:1], "cpu")
    assert state.top._file is None  # type: ignore[union-attr]


def test_a_disk_without_room_for_them_is_said_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "_SHARE", 0.0)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(NoSpace, match="no space left under"):
            checkpoint.new_states(tmp_path, [Settings(1000, top_k=10)], "cpu")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []
