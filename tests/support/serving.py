"""`saescope serve` as processes, for the time of a block."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

from saescope.home import Home


@contextlib.contextmanager
def server(home: Home) -> Iterator["subprocess.Popen[bytes]"]:
    words = [sys.executable, "-m", "saescope", "serve", "--home", str(home.root), "--port", "0"]
    process = subprocess.Popen(words, env=dict(os.environ), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)
