"""`saescope serve`: starts the web process and the worker, restarts one that died, and stops both. Loads no torch."""

import contextlib
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ..home import Home, write_whole
from ..store.database import open_database
from .serving import supervising

_STOP_SECONDS = 9.0
_LONGEST_PAUSE = 30.0


@dataclass
class _Child:
    """A process of ours, started again when it dies; its input is a pipe that ends when we do."""

    name: str
    words: list[str]
    process: "subprocess.Popen[bytes] | None" = None
    started: float = 0.0
    pause: float = 0.5
    due: float = field(default_factory=time.monotonic)

    def start(self) -> None:
        self.process = subprocess.Popen(self.words, stdin=subprocess.PIPE)
        self.started = time.monotonic()

    def look(self, say: Callable[[str], None]) -> None:
        """Start it again when it has died, after a pause that grows while it dies young."""
        if self.process is not None and (code := self.process.poll()) is not None:
            young = time.monotonic() - self.started < 10
            self.pause = min(_LONGEST_PAUSE, self.pause * 2) if young else 0.5
            say(f"{self.name} ended with code {code}; starting it again in {self.pause:.1f} s")
            self.process, self.due = None, time.monotonic() + self.pause
        if self.process is None and time.monotonic() >= self.due:
            self.start()

    def stop(self, until: float) -> None:
        if self.process is None:
            return
        try:
            self.process.wait(max(0.1, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def serve(home: Home, host: str, port: int, say: Callable[[str], None], *, web: bool = True) -> None:
    """Serve a home until SIGTERM or Ctrl-C. WrongRequest where another process serves it already."""
    going = threading.Event()
    with _signals(going), supervising(home) as slot:
        open_database(home).close()  # made or brought up to date once, before both of them want to
        token_file = home.work / f"token-{slot}"
        token = secrets.token_urlsafe(32)
        write_whole(token_file, token.encode())
        token_file.chmod(0o600)
        children = [_Child("worker", _words("saescope.jobs.work", home, "--slot", slot))]
        if web:
            words = _words("saescope.web", home, "--host", host, "--port", port, "--token-file", token_file)
            children.append(_Child("web", words))
        try:
            for child in children:
                child.start()
            if web:
                say(f"saescope is at http://{_shown(host)}:{port}/?token={token}")
            while not going.wait(0.2):
                for child in children:
                    child.look(say)
        finally:
            _stop(children)
            token_file.unlink(missing_ok=True)


def _words(module: str, home: Home, *more: object) -> list[str]:
    return [sys.executable, "-m", module, "--home", str(home.root), *map(str, more)]


def _stop(children: list[_Child]) -> None:
    for child in children:
        if child.process is not None:
            child.process.terminate()
    until = time.monotonic() + _STOP_SECONDS
    for child in children:
        child.stop(until)


@contextlib.contextmanager
def _signals(going: threading.Event):
    before = {n: signal.signal(n, lambda *_: going.set()) for n in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def web_is_built() -> bool:
    """Whether the front end lies where the web process looks for it."""
    return (Path(__file__).parent.parent / "web" / "static" / "index.html").is_file()
