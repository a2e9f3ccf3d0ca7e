"""Files appear whole or not at all, also where two processes make the same thing."""

from pathlib import Path

import pytest

from saescope.errors import NoSpace
from saescope.home import Home, no_space, only_owner


def test_of_two_that_make_the_same_thing_the_first_stays(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with home.making("tokens", "key") as slow:
        with home.making("tokens", "key") as quick:
            (quick / "rows").write_text("quick")
        (slow / "rows").write_text("slow")
    assert (home.artifact("tokens", "key") / "rows").read_text() == "quick"
    assert list(home.work.iterdir()) == []


def test_a_full_disk_is_known_by_what_safetensors_says(tmp_path: Path) -> None:
    error = RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)")
    assert isinstance(no_space(error, tmp_path), NoSpace)
    assert no_space(RuntimeError("something else (os error 2)"), tmp_path) is None
    with pytest.raises(NoSpace), Home(tmp_path).making("facts", "key"):
        raise error


def test_a_tilde_that_names_nobody_is_a_name_like_any_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Home("~nobody-of-that-name").root == tmp_path / "~nobody-of-that-name"


def test_a_run_has_one_owner_at_a_time(tmp_path: Path) -> None:
    lock = tmp_path / "run.lock"
    with only_owner(lock) as first, only_owner(lock) as second:
        assert (first, second) == (True, False)
    with only_owner(lock) as again:
        assert again
    assert not lock.exists()
