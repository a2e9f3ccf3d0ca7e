"""Every route of an app, asked in every way that has to be refused. Knows no route by name.

An answer is asked of the app itself, with headers just as they are given: a client would mend or refuse some of them.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import anyio
from starlette.routing import Mount, Route

HOST = "127.0.0.1:8420"
SAFE = ("GET", "HEAD", "OPTIONS")
VALUES = {"index": "0", "feature": "0", "sample": "0", "format": "csv", "verb": "extract_features"}
"""What stands for a part of a path; `x` for any other."""

HOSTILE_HOSTS: list[list[str]] = [
    ["evil.example"],
    ["10.evil.example"],
    ["127.0.0.1.evil.example"],
    ["localhost.evil.example"],
    ["evil.example:8420"],
    ["0.0.0.0"],
    ["127.1"],
    ["2130706433"],
    ["0x7f000001"],
    ["017700000001"],
    ["169.254.169.254"],
    ["10.0.0.5:8420"],
    ["[::ffff:1.2.3.4]"],
    ["[::1]evil.example"],
    ["[::1"],
    ["localhost:8420@evil.example"],
    ["evil.example#localhost"],
    ["localhost, evil.example"],
    ["localhost evil.example"],
    ["127.0.0.1:port"],
    [""],
    [],
    [HOST, "evil.example"],
    ["evil.example", HOST],
]
"""What a page of somebody else's can make a browser send, and what a proxy may leave behind: values of `Host`."""

CROSS_SITE: list[dict[str, str]] = [
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "cross-site", "origin": f"http://{HOST}"},
    {"origin": "http://evil.example"},
    {"origin": "null"},
    {"origin": ""},
    {"origin": "http://["},
    {"origin": "http://[127.0.0.1"},
    {"origin": f"http://x@{HOST}"},
    {"origin": "http://127.0.0.1.evil.example:8420"},
    {"origin": "http://127.0.0.1:9999"},
    {"origin": f"http://{HOST}.evil.example"},
]
"""How a browser marks a request that another site caused."""


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes = b""

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)


@dataclass(frozen=True)
class Address:
    """A method and a path that a route answers."""

    method: str
    path: str
    route: str = field(compare=False)


def addresses(app: Any) -> list[Address]:
    """Every one of an app, those of routers and apps inside it too. AssertionError for a kind of route unknown here."""
    return [
        Address(method, _filled(path), path)
        for path, methods in sorted(set(_routes(app.routes, "")))
        for method in sorted(methods)
    ]


def _routes(routes: Any, before: str) -> Iterator[tuple[str, frozenset[str]]]:
    for route in routes:
        if hasattr(route, "original_router"):  # FastAPI's include_router
            yield from _routes(route.original_router.routes, before + route.include_context.prefix)
        elif isinstance(route, Mount):
            inside = list(getattr(route, "routes", None) or [])
            yield from _routes(inside, before + route.path) if inside else [(f"{before}{route.path}/x", _SAFE_SET)]
        elif isinstance(route, Route) or (hasattr(route, "path") and hasattr(route, "methods")):
            yield before + route.path, frozenset(route.methods or {*SAFE, "POST", "PUT", "PATCH", "DELETE"})
        else:
            raise AssertionError(f"a kind of route that this walk does not know: {route!r}")


_SAFE_SET = frozenset({"GET", "HEAD"})


def _filled(path: str) -> str:
    return re.sub(r"\{(\w+)(?::\w+)?\}", lambda part: VALUES.get(part[1], "x"), path)


def ask(
    app: Any,
    method: str,
    path: str,
    headers: dict[str, str] | None = None,
    *,
    hosts: list[str] | None = None,
    body: bytes = b"",
    seconds: float = 10.0,
) -> Answer:
    """Ask an app without a server; an answer without end is cut off after its first piece."""
    at, _, query = path.partition("?")
    fields = [*(("host", host) for host in ([HOST] if hosts is None else hosts)), *(headers or {}).items()]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": at,
        "raw_path": at.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8420),
        "state": {},
    }
    got = Answer(0, [])

    async def asking() -> None:
        given = iter([{"type": "http.request", "body": body, "more_body": False}])
        over = anyio.Event()

        async def receive() -> dict[str, Any]:
            if (message := next(given, None)) is not None:
                return message
            await over.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                got.status = message["status"]
                got.headers = [(k.decode("latin-1").lower(), v.decode("latin-1")) for k, v in message["headers"]]
            elif message["type"] == "http.response.body":
                got.body += message.get("body", b"")
                over.set()

        with anyio.move_on_after(seconds):
            await app(scope, receive, send)

    anyio.run(asking)
    return got


Refused = Callable[[Address, Answer], bool]


def by_host(app: Any, key: dict[str, str]) -> list[str]:
    """Routes that answer a hostile Host, the right key in hand."""
    return [
        f"{one.method} {one.route} with Host {hosts}: {status}"
        for one in addresses(app)
        for hosts in HOSTILE_HOSTS
        if (status := ask(app, one.method, one.path, key, hosts=hosts).status) not in (400, 403, 421)
    ]


def across_sites(app: Any, key: dict[str, str]) -> list[str]:
    """Routes with an unsafe method that let another site use the person's own cookie."""
    return [
        f"{one.method} {one.route} with {marks}: {status}"
        for one in addresses(app)
        if one.method not in SAFE
        for marks in CROSS_SITE
        if (status := ask(app, one.method, one.path, key | marks).status) != 403
    ]


def without_key(app: Any, keys: list[dict[str, str]], public: set[str]) -> list[str]:
    """Routes that let in somebody who has no key, or one that is wrong; `public` ones may."""
    return [
        f"{one.method} {one.route} with {key}: {status}"
        for one in addresses(app)
        if one.route not in public
        for key in keys
        if (status := ask(app, one.method, one.path, key).status) not in (401, 403)
    ]
