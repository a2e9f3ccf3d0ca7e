"""Each tool in an environment of its own, beside these scripts.

The requirements name every package that a run imports, and no other: the tools' own lists would bring an inference
server, CUDA builds and experiment trackers. Hence --no-deps.
"""

import hashlib
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
TORCH = "torch==2.13.0"
"""First and by exact version: other ranges pull a CUDA build of several GB."""


@dataclass(frozen=True)
class Tool:
    requirements: str
    script: str
    kinds: tuple[str, ...]
    """Kinds of SAE it can read."""


TOOLS = {
    "saedashboard": Tool("requirements-saedashboard.txt", "saedashboard.py", ("topk", "jumprelu")),
    "delphi": Tool("requirements-delphi.txt", "delphi_cache.py", ("topk",)),
}


def python_of(tool: str) -> Path:
    """A tool's interpreter."""
    return environment(tool, TOOLS[tool].requirements)


def environment(name: str, requirements: str) -> Path:
    """The interpreter of an environment, which is made first if it is not there or not as it should be."""
    asked = HERE / requirements
    folder = HERE / ".environments" / name
    python, stamp = folder / "bin" / "python", folder / "requirements.sha256"
    wanted = hashlib.sha256(asked.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != wanted:
        clock = time.perf_counter()
        print(f"installing {name} (once, a few minutes)", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        subprocess.run([*pip, TORCH], check=True)
        subprocess.run([*pip, "--no-deps", "--requirement", asked], check=True)
        stamp.write_text(wanted)
        print(f"installed {name} in {time.perf_counter() - clock:.0f} s", file=sys.stderr)
    return python
