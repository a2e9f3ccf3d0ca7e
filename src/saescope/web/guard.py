"""Who may ask: the Host is one of ours, changes come from our own pages, and everything needs the token.

The order: Host (against DNS rebinding), cross-site changes (Sec-Fetch-Site, then Origin), token (cookie or Bearer),
size of the body. Only /api/health, and /api/login where there is a password, answer without a token.
"""

import hashlib
import hmac
import re
from collections.abc import Collection
from urllib.parse import parse_qsl, urlencode, urlsplit

from fastapi import HTTPException
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from . import answers

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
OPEN = ("/api/health", "/api/login")
LARGEST_BODY = 2**20
LARGEST_UPLOAD = 2**31
_SAFE = ("GET", "HEAD", "OPTIONS")
_HOST = re.compile(r"(\[(?P<address>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9.-]+))(:[0-9]{1,5})?")
_HEADERS = [
    (b"content-security-policy", CSP.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]


def _place(origin: str) -> str:
    """Host and port of an origin; empty where it is none."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


class Guard:
    """In front of everything."""

    def __init__(self, app: ASGIApp, token: str, allowed_hosts: Collection[str], password: bool) -> None:
        self.app = app
        self._token, self._cookie = token, cookie_name(token)
        self._hosts = {host.lower() for host in allowed_hosts}
        self._password = password

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # no route speaks WebSocket
            await send({"type": "websocket.close", "code": 1008})
            return

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if scope["path"].startswith("/api/"):
                    headers.setdefault("Cache-Control", "no-store")
                headers.raw.extend(_HEADERS)  # no answer has one of them itself
            await send(message)

        headers = Headers(scope=scope)
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await refusal(scope, receive, sending)
            return
        limit = LARGEST_UPLOAD if scope["path"] == "/api/uploads" else LARGEST_BODY
        length = headers.get("content-length", "0")
        if not re.fullmatch(r"[0-9]{1,18}", length) or int(length) > limit:
            await answers.error(413, "too_large", f"the body is larger than {limit:,} bytes")(scope, receive, sending)
            return
        taken = 0

        async def receiving() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > limit:
                raise HTTPException(413, f"the body is larger than {limit:,} bytes")
            return message

        await self.app(scope, receiving, sending)

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        method, path = scope["method"], scope["path"]
        host = headers.get("host", "")
        if len(headers.getlist("host")) != 1 or not self._ours(host):
            return answers.error(400, "bad_host", "this address is not the studio's", "open the link that serve prints")
        if method not in _SAFE:
            site, origin = headers.get("sec-fetch-site"), headers.get("origin")
            foreign = origin is not None and _place(origin) != host.lower()
            if site not in (None, "same-origin", "none") or foreign:
                return answers.error(403, "cross_site", "another site may change nothing here")
        if path in OPEN and (path != "/api/login" or self._password):
            return None
        query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
        if "token" in query and method == "GET" and not path.startswith("/api/"):
            return self._enter(path, query)
        if self._known(headers):
            return None
        if path.startswith("/api/"):
            hint = "open the link that serve prints, or send Authorization: Bearer TOKEN"
            return answers.error(401, "no_token", "this needs the studio's token", hint)
        return HTMLResponse(_LOGIN if self._password else _CLOSED, 401)

    def _ours(self, host: str) -> bool:
        """Whether a Host header names one of our hosts, with any port."""
        named = _HOST.fullmatch(host)
        return named is not None and (named["address"] or named["name"]).lower() in self._hosts

    def _enter(self, path: str, query: dict[str, str]) -> Response:
        if not hmac.compare_digest(query.pop("token").encode(), self._token.encode()):
            return HTMLResponse(_CLOSED, 401)
        target = "/" + path.lstrip("/")  # never //elsewhere
        answer = RedirectResponse(target + (f"?{urlencode(query)}" if query else ""), 303)
        set_cookie(answer, self._token)
        return answer

    def _known(self, headers: Headers) -> bool:
        given = cookie_parser(headers.get("cookie", "")).get(self._cookie, "")
        bearer = headers.get("authorization", "")
        if bearer[:7].lower() == "bearer ":
            given = bearer[7:].strip()
        return hmac.compare_digest(given.encode(), self._token.encode())


def cookie_name(token: str) -> str:
    """The cookie of this studio: several on one machine share a host, whatever their ports."""
    return f"saescope-{hashlib.sha256(token.encode()).hexdigest()[:8]}"


def set_cookie(answer: Response, token: str) -> None:
    """Let a browser in."""
    answer.set_cookie(cookie_name(token), token, httponly=True, samesite="strict", max_age=30 * 86400, path="/")


_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>saescope</title>
<meta name="viewport" content="width=device-width"><h1>saescope</h1>{}</html>"""
_CLOSED = _PAGE.format("<p>Open the link that <code>saescope serve</code> printed: it lets this browser in.</p>")
_LOGIN = _PAGE.format(
    '<form method="post" action="/api/login"><label>Password <input type="password" name="password" autofocus '
    'autocomplete="current-password"></label> <button>Open</button></form>'
)
