"""The worker's side of `interactive.py`: answers short questions in threads of their own, beside whatever job runs."""

import contextlib
import json
import os
import select
import socket
import threading
from typing import Any

from ..errors import Interrupted, StudioError
from ..interactive import socket_path
from ..records import Progress
from . import verbs
from .context import Context

_AT_ONCE = threading.Lock()
"""One question has the model at a time; a long job goes on beside it."""

_LARGEST = 1 << 20
"""Bytes of a question."""


class Answering:
    """Listens at the home's socket until it is closed."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._path = socket_path(context.home)
        self._path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o177)
        try:
            self._listener.bind(str(self._path))
        finally:
            os.umask(before)
        self._listener.listen(16)
        threading.Thread(target=self._accept, name="answering", daemon=True).start()

    def close(self) -> None:
        self._listener.close()
        self._path.unlink(missing_ok=True)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(30)
            with connection.makefile("rb") as asked:
                line = asked.readline(_LARGEST)
            connection.settimeout(None)
            try:
                self._send(connection, {"result": self._work(json.loads(line), connection)})
            except StudioError as error:
                self._send(connection, error.to_json())
            except OSError:
                raise
            except Exception as error:
                what = " ".join(f"{type(error).__name__}: {error}".split())[:300]
                self._send(connection, {"error": {"kind": "internal", "message": what, "hint": "please report it"}})

    def _work(self, question: dict[str, Any], connection: socket.socket) -> dict[str, Any]:
        spec = verbs.spec_class(str(question.get("verb")))(**question.get("spec", {}))
        stop = threading.Event()

        def tell(progress: Progress) -> None:
            if _hung_up(connection):
                raise Interrupted("stopped", "ask again")
            self._send(connection, {"progress": progress.to_json()})

        context = self._context.for_job(tell, lambda message: None, stop)
        context.on_token = lambda token: self._send(connection, {"token": token})
        with _AT_ONCE:
            return verbs.module(spec).run(spec, context)

    @staticmethod
    def _send(connection: socket.socket, message: dict[str, Any]) -> None:
        connection.sendall(json.dumps(message, default=str).encode() + b"\n")


def _hung_up(connection: socket.socket) -> bool:
    """Whether whoever asked has closed the connection: readable, and nothing to read."""
    readable, _, _ = select.select([connection], [], [], 0)
    return bool(readable) and connection.recv(1, socket.MSG_PEEK) == b""
