"""docs/commands.md is what the command tree says."""

import subprocess
import sys
from pathlib import Path


def test_the_command_reference_is_current():
    script = Path(__file__).parents[2] / "docs" / "make_commands.py"
    answer = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
