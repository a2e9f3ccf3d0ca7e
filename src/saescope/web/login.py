"""A password, where the studio is reached from other machines."""

import hashlib
import hmac
import secrets
import threading
import time
from urllib.parse import parse_qs

from fastapi import FastAPI, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from . import answers
from .guard import set_cookie

_WAIT_SECONDS = 1.0


class Password:
    """A password as scrypt leaves it (RFC 7914; N = 2^15, r = 8, p = 1); one try at a time."""

    def __init__(self, text: str) -> None:
        self._salt = secrets.token_bytes(16)
        self._hash = self._scrypt(text)
        self._lock = threading.Lock()

    def right(self, text: str) -> bool:
        """Whether it is this one; a wrong one takes a second."""
        with self._lock:
            right = hmac.compare_digest(self._scrypt(text), self._hash)
            if not right:
                time.sleep(_WAIT_SECONDS)
            return right

    def _scrypt(self, text: str) -> bytes:
        return hashlib.scrypt(text.encode(), salt=self._salt, n=2**15, r=8, p=1, maxmem=2**26)


def add_login(app: FastAPI, password: Password, token: str) -> None:
    """Let in whoever knows the password."""

    @app.post("/api/login", tags=["studio"])
    async def login(request: Request) -> Response:
        """The form of the password; sets the cookie."""
        given = parse_qs((await request.body()).decode("utf-8", "replace")).get("password", [""])[0]
        if not await run_in_threadpool(password.right, given):
            return answers.error(401, "wrong_password", "that is not the password")
        answer = RedirectResponse("/", 303)
        set_cookie(answer, token)
        return answer
