"""Short questions to the home's worker, over a socket: fire this text, steer this prompt. Loads no torch.

One connection a question. It sends a line of JSON, {"verb", "spec"}, and is answered by lines, as they come:
{"progress": …}, {"token": …}, and last {"result": …} or {"error": {"kind", "message", "hint"}}. Closing the connection
stops the work. The socket is in the home, for its owner alone.
"""

import hashlib
import json
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .errors import Unreachable
from .home import Home

_LONGEST = 100
"""Bytes that a socket's path may have, with room to spare: systems allow 104 to 108."""


def socket_path(home: Home) -> Path:
    """Where the worker of a home listens: in the home, or where its path is too long, in the folder of the user."""
    path = home.root / "worker.sock"
    if len(os.fsencode(path)) <= _LONGEST:
        return path
    name = hashlib.sha256(os.fsencode(home.root)).hexdigest()[:24]
    return Path(tempfile.gettempdir()) / f"saescope-{os.getuid()}-{name}.sock"


def ask(home: Home, verb: str, spec: dict[str, Any], timeout: float | None = None) -> Iterator[dict[str, Any]]:
    """Ask the worker, and yield its messages until the last one. Unreachable where no worker serves the home."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout)
        try:
            connection.connect(str(socket_path(home)))
            connection.sendall(json.dumps({"verb": verb, "spec": spec}).encode() + b"\n")
            with connection.makefile("rb") as answers:
                for line in answers:
                    message = json.loads(line)
                    yield message
                    if "result" in message or "error" in message:
                        return
        except (OSError, ValueError) as error:
            raise _unreachable(error) from None
    raise _unreachable(EOFError("it hung up"))


def _unreachable(error: Exception) -> Unreachable:
    return Unreachable(
        f"the worker of this home does not answer: {error}", "start it with `saescope serve`, or wait until it is up"
    )
