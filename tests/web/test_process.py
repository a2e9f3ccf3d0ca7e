"""The web process as it is started: what it loads, what it weighs, where it refuses to listen."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from saescope.home import Home
from support.served import TOKEN

MIB = 2**20


def start(home: Home, *more: str) -> "subprocess.Popen[bytes]":
    words = [sys.executable, "-m", "saescope.web", "--home", str(home.root), *more]
    environment = {name: value for name, value in os.environ.items() if name != "SAESCOPE_PASSWORD"}
    return subprocess.Popen(words, stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)


def get(port: int, path: str, token: str = TOKEN) -> bytes:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read()


@pytest.fixture
def served(home: Home) -> Iterator[tuple[int, "subprocess.Popen[bytes]"]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    secret = home.work / "token"
    secret.write_text(TOKEN)
    process = start(home, "--port", str(port), "--token-file", str(secret))
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        try:
            get(port, "/api/health")
            break
        except urllib.error.URLError:
            time.sleep(0.05)
    try:
        yield port, process
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stderr):
            if stream is not None:
                stream.close()


def test_it_answers_everything_without_torch_in_little_memory(served: tuple[int, "subprocess.Popen[bytes]"]) -> None:
    port, process = served
    for path in ("/api/openapi.json", "/api/saes", "/api/machine", "/api/jobs", "/api/search?q=label"):
        assert get(port, path)
    for path in ("features?sort=-max&search=label", "features/3", "points", "export?format=parquet"):
        assert get(port, f"/api/extractions/topk-64-sotu/{path}")
    assert psutil.Process(process.pid).memory_info().rss < 250 * MIB
    maps = Path(f"/proc/{process.pid}/maps")
    if maps.exists():
        assert "torch" not in maps.read_text()


def test_it_ends_when_whoever_started_it_does(served: tuple[int, "subprocess.Popen[bytes]"]) -> None:
    _, process = served
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(15) == 0


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.10", "example.com"])
def test_it_listens_to_no_other_machine_without_a_password(home: Home, host: str) -> None:
    process = start(home, "--host", host, "--port", "0")
    _, said = process.communicate(timeout=60)
    assert process.returncode == 2
    assert b"password" in said
