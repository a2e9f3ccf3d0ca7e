"""A password, where the studio is reached from other machines."""

import hashlib
import hmac
import secrets
from urllib.parse import parse_qs

import anyio
import anyio.to_thread
from fastapi import FastAPI, Request
from starlette.responses import RedirectResponse, Response

from . import answers
from .guard import set_cookie

_WAIT_SECONDS = 1.0
_WAITING = 32
"""Tries under way at a time, of all addresses together."""
_LONGEST = 4096
"""Bytes of the form."""


class Password:
    """A password as scrypt leaves it (RFC 7914; N = 2^15, r = 8, p = 1)."""

    def __init__(self, text: str) -> None:
        self._salt = secrets.token_bytes(16)
        self._hash = self._scrypt(text)

    def right(self, text: str) -> bool:
        """Whether it is this one."""
        return hmac.compare_digest(self._scrypt(text), self._hash)

    def _scrypt(self, text: str) -> bytes:
        return hashlib.scrypt(text.encode("utf-8", "replace"), salt=self._salt, n=2**15, r=8, p=1, maxmem=2**26)


class Tries:
    """One try at a time of each address, and one worked on at a time: a flood keeps out neither others nor requests.

    A wrong try takes a second more, in which its address has no other.
    """

    def __init__(self, password: Password) -> None:
        self._password = password
        self._trying: set[str] = set()
        self._one = anyio.CapacityLimiter(1)

    async def right(self, address: str, text: str) -> bool | None:
        """Whether the password is right; None where it cannot be tried now."""
        if address in self._trying or len(self._trying) >= _WAITING:
            return None
        self._trying.add(address)
        try:
            right = await anyio.to_thread.run_sync(self._password.right, text, limiter=self._one)
            if not right:
                await anyio.sleep(_WAIT_SECONDS)
            return right
        finally:
            self._trying.discard(address)


def add_login(app: FastAPI, password: Password, token: str) -> None:
    """Let in whoever knows the password."""
    tries = Tries(password)

    @app.post("/api/login", tags=["studio"])
    async def login(request: Request) -> Response:
        """The form of the password; sets the cookie."""
        form = await request.body()
        if len(form) > _LONGEST:
            return answers.error(413, "too_large", f"the form is larger than {_LONGEST:,} bytes")
        given = parse_qs(form.decode("utf-8", "replace")).get("password", [""])[0]
        right = await tries.right(request.client.host if request.client else "", given)
        if right is None:
            hint = "try again in a second"
            return answers.error(429, "too_many", "a password is being tried already", hint, {"Retry-After": "1"})
        if not right:
            return answers.error(401, "wrong_password", "that is not the password")
        answer = RedirectResponse("/", 303)
        set_cookie(answer, token)
        return answer
