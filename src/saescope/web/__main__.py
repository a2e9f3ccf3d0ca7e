"""python -m saescope.web: serve a home until standard input ends or SIGTERM comes. Prints nothing but what is wrong."""

import argparse
import ipaddress
import logging
import os
import secrets
import sys
import threading
from pathlib import Path

import uvicorn

from ..errors import StudioError, WrongRequest
from ..home import Home
from .app import LOOPBACK, create_app
from .memory import settle


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m saescope.web", description=__doc__)
    parser.add_argument("--home", default=None)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8420)
    parser.add_argument("--token-file", type=Path, default=None)
    parser.add_argument("--password-file", type=Path, default=None)
    parser.add_argument("--allow-host", action="append", default=[], help="a further name this machine is reached by")
    args = parser.parse_args(arguments)
    try:
        serve(args)
    except StudioError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return error.exit_code
    return 0


def serve(args: argparse.Namespace) -> None:
    """Serve until told to stop. WrongRequest where others could reach it and there is no password."""
    password = _read(args.password_file) or os.environ.get("SAESCOPE_PASSWORD") or None
    if not loopback(args.host) and password is None:
        raise WrongRequest(
            f"{args.host} can be reached from other machines, and there is no password",
            "set SAESCOPE_PASSWORD or give --password-file, or bind to 127.0.0.1",
        )
    token = _read(args.token_file) or secrets.token_urlsafe(32)
    hosts = {*LOOPBACK, args.host, *args.allow_host}
    app = create_app(Home(args.home), token, allowed_hosts=hosts, password=password)
    settle()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s web: %(message)s", stream=sys.stderr)
    config = uvicorn.Config(
        app,
        host=args.host,
        port=args.port,
        log_level="critical",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=3,
    )
    server = uvicorn.Server(config)

    def wait_for_the_end() -> None:
        while sys.stdin.buffer.read(4096):
            pass
        server.should_exit = True

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    server.run()


def loopback(host: str) -> bool:
    """Whether only this machine reaches that address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _read(file: Path | None) -> str:
    if file is None:
        return ""
    try:
        text = file.read_text().strip()
    except OSError as error:
        raise WrongRequest(f"{str(file)!r} cannot be read: {error.strerror}") from None
    if not text:
        raise WrongRequest(f"{str(file)!r} is empty", "write the secret into it")
    return text


if __name__ == "__main__":
    raise SystemExit(main())
