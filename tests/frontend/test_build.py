"""How the web app gets into a wheel."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("web", ROOT / "packaging" / "web.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setitem(sys.modules, "web", module)
    return module


def program(folder: Path, name: str, says: str, code: int = 0) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{says}'\nexit {code}\n")
    path.chmod(0o755)


def test_an_old_node_is_passed_over(web: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, "node", "v18.19.0")
    program(tmp_path, "npm", "10.0.0")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert web.node_on_path() is None
    program(tmp_path, "node", "v22.1.0")
    assert web.node_on_path() == tmp_path


def test_without_node_the_build_says_so_and_an_optional_one_goes_on(
    web: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(web, "node", lambda install=False: None)
    monkeypatch.setattr(sys, "argv", ["web.py", "build"])
    assert web.main() == 1
    monkeypatch.setattr(sys, "argv", ["web.py", "build", "--optional"])
    assert web.main() == 0
    assert "no Node" in capsys.readouterr().err


def test_a_failing_check_fails_even_where_node_is_optional(
    web: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "node", lambda install=False: tmp_path)
    monkeypatch.setattr(web, "packages", lambda folder: True)
    monkeypatch.setattr(web, "npm", lambda folder, *words, quiet=False: False)
    monkeypatch.setattr(sys, "argv", ["web.py", "check", "--optional"])
    assert web.main() == 1


def test_packages_that_cannot_be_fetched_stop_no_check_of_the_rest(
    web: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "node", lambda install=False: tmp_path)
    monkeypatch.setattr(web, "packages", lambda folder: False)
    monkeypatch.setattr(sys, "argv", ["web.py", "check", "--optional"])
    assert web.main() == 0


def test_a_wheel_asks_for_node_only_where_the_app_is_missing(web: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("setuptools")
    spec = importlib.util.spec_from_file_location("backend", ROOT / "packaging" / "backend.py")
    assert spec
    assert spec.loader
    backend = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(backend)
    monkeypatch.setattr(web, "node", lambda install=False: None)
    monkeypatch.setattr(web, "built", lambda: False)
    assert backend._node() == [web.NODE_WHEEL]
    monkeypatch.setattr(web, "built", lambda: True)
    assert backend._node() == []
    monkeypatch.setattr(web, "built", lambda: False)
    monkeypatch.setattr(web, "source", lambda: False)
    assert backend._node() == []
