from pathlib import Path

import pytest
import torch

from saescope.errors import BadValue
from saescope.training import Checkpoints


def state(number: int):
    return {"w": torch.full((50,), float(number))}, {"steps": number}


def kept_steps(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_newest_comes_back_and_only_two_are_kept(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    for step in (10, 20, 30):
        checkpoints.save(step, *state(step))
    newest = checkpoints.newest()
    assert newest is not None
    assert (newest.step, newest.facts, newest.damaged) == (30, {"steps": 30}, ())
    assert torch.equal(newest.tensors["w"], state(30)[0]["w"])
    assert kept_steps(tmp_path) == ["step-000000020", "step-000000030"]


def test_there_may_be_none(tmp_path: Path) -> None:
    assert Checkpoints(tmp_path / "nowhere").newest() is None
    assert Checkpoints(tmp_path).newest() is None


@pytest.mark.parametrize("name", ["tensors.safetensors", "facts.json", "manifest.json"])
@pytest.mark.parametrize("damage", ["cut", "flipped", "gone", "empty"])
def test_a_damaged_newest_falls_back_to_the_one_before_and_says_so(name: str, damage: str, tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    for step in (10, 20):
        checkpoints.save(step, *state(step))
    path = tmp_path / "step-000000020" / name
    data = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        middle = len(data) // 2
        flipped = data[:middle] + bytes([data[middle] ^ 0xFF]) + data[middle + 1 :]
        path.write_bytes({"cut": data[:-1], "flipped": flipped, "empty": b""}[damage])
    newest = checkpoints.newest()
    assert newest is not None
    assert newest.step == 10
    assert len(newest.damaged) == 1
    assert "step 20" in newest.damaged[0]
    checkpoints.save(20, *state(20))
    again = checkpoints.newest()
    assert again is not None
    assert (again.step, again.damaged) == (20, ())


def test_when_all_are_damaged_it_is_said_and_never_begun_anew_in_silence(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(10, *state(10))
    (tmp_path / "step-000000010" / "facts.json").write_text("{}")
    with pytest.raises(BadValue, match="damaged"):
        checkpoints.newest()


def test_what_a_kill_left_half_made_is_ignored_and_swept_up(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(10, *state(10))
    half = tmp_path / ".draft-0123"
    half.mkdir()
    (half / "tensors.safetensors").write_bytes(b"half")
    newest = checkpoints.newest()
    assert newest is not None
    assert newest.step == 10
    checkpoints.save(20, *state(20))
    assert not half.exists()


def test_a_state_that_is_not_finite_never_replaces_a_good_one(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(10, *state(10))
    with pytest.raises(BadValue, match="not finite"):
        checkpoints.save(20, {"w": torch.tensor([1.0, float("nan")])}, {})
    assert kept_steps(tmp_path) == ["step-000000010"]
