"""The wheel, installed where there is no Node, serves the whole app.

Its environment is empty but for the libraries that saescope needs, which it shares with ours: torch alone is 700 MB.
"""

import json
import shutil
import subprocess
import sys
import sysconfig
import urllib.request
from pathlib import Path

import pytest

from saescope.jobs.supervisor import web_is_built
from saescope.web.pages import STATIC
from support.browser import served

ROOT = Path(__file__).resolve().parents[2]
LEFT_OUT = shutil.ignore_patterns(
    "node_modules", ".git", ".venv", "build", "dist", "*.egg-info", "__pycache__", "golden"
)


def run(*words: str | Path, **options: object) -> None:
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of an environment into which the built wheel was installed."""
    pytest.importorskip("setuptools", minversion="77", reason="no setuptools to build a wheel with")
    if not web_is_built():
        pytest.skip("the web app is not built (make web)")
    root = tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT, root / "source", ignore=LEFT_OUT)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    built = ["wheel", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", root, root / "source"]
    run(*pip, *built)
    (wheel,) = root.glob("saescope-*.whl")
    run(sys.executable, "-m", "venv", "--without-pip", root / "env")
    run(*pip, "--python", root / "env", "install", "--no-deps", "--no-index", wheel)
    (packages,) = (root / "env").glob("lib/python*/site-packages")
    (packages / "shared.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return root / "env" / "bin"


def test_an_installed_wheel_serves_the_whole_app_without_node(installed: Path, tmp_path: Path) -> None:
    environment = {"PATH": str(installed), "HOME": str(tmp_path)}
    assert shutil.which("node", path=environment["PATH"]) is None
    with served(tmp_path / "home", (str(installed / "saescope"),), environment) as site:
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())

        def get(path: str) -> tuple[str, bytes]:
            with opener.open(site.address + path, timeout=20) as answer:
                return answer.headers["content-type"], answer.read()

        assert b'<div id="root">' in opener.open(site.door, timeout=20).read()
        manifest = json.loads((STATIC / ".vite" / "manifest.json").read_text())
        assert len([chunk for chunk in manifest.values() if chunk.get("isDynamicEntry")]) > 10
        for chunk in manifest.values():
            for file in [chunk["file"], *chunk.get("css", []), *chunk.get("assets", [])]:
                kind, content = get(f"/{file}")
                assert "html" not in kind, file
                assert content, file
        for page in ("/", "/features/any", "/jobs"):
            assert b'<div id="root">' in get(page)[1]
        assert json.loads(get("/api/health")[1])["ok"] is True
