"""How the API answers: JSON by orjson, one shape for every error, server-sent events."""

import contextlib
import hashlib
import json as stdlib_json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from typing import Any

import anyio
import anyio.to_thread
import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse

from ..errors import StudioError

_LOG = logging.getLogger("saescope.web")
_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS  # sqlalchemy's column names are a kind of str

_STATUS = {
    "not_found": 404,
    "name_taken": 409,
    "interrupted": 409,
    "unreachable": 503,
    "no_space": 507,
    "broken_home": 500,
}
"""HTTP's number for each kind of error; 400 for the others."""


def json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """An answer as JSON; numbers that JSON lacks become null."""
    return Response(dumps(value), status, headers, media_type="application/json")


def error(status: int, kind: str, message: str, hint: str = "", headers: dict[str, str] | None = None) -> Response:
    """An error in the one shape."""
    return json({"error": {"kind": kind, "message": message, "hint": hint}}, status, headers)


def studio_error(problem: StudioError) -> Response:
    """A StudioError as an answer."""
    return json(problem.to_json(), _STATUS.get(problem.kind, 400))


def add_handlers(app: FastAPI) -> None:
    """Give every error of an app the one shape."""

    @app.exception_handler(StudioError)
    async def _(_: Request, problem: StudioError) -> Response:
        return studio_error(problem)

    @app.exception_handler(RequestValidationError)
    async def _(_: Request, problem: RequestValidationError) -> Response:
        first = problem.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:]) or "the request"
        return error(
            422, "bad_value", f"{where}: {first['msg'][:1].lower()}{first['msg'][1:]}", "see /api/openapi.json"
        )

    @app.exception_handler(HTTPException)
    async def _(_: Request, problem: HTTPException) -> Response:
        kind = {404: "not_found", 405: "wrong_method", 413: "too_large"}.get(problem.status_code, "http")
        headers = dict(problem.headers or {})
        return error(problem.status_code, kind, str(problem.detail).lower(), "see /api/openapi.json", headers)

    @app.exception_handler(Exception)
    async def _(request: Request, problem: Exception) -> Response:
        _LOG.error("%s %s", request.method, request.url.path, exc_info=problem)  # no query: it may hold the token
        return json({"error": _fault(problem)}, 500)


def _fault(problem: Exception) -> dict[str, str]:
    """What a client is told of a fault of ours: its kind, and nothing of the inside."""
    message = f"a fault of saescope: {type(problem).__name__}"
    return {"kind": "fault", "message": message, "hint": "please report it, with what the server printed"}


def cached(request: Request, tag: str, make: Callable[[], bytes], media_type: str = "application/json") -> Response:
    """Answer 304 where the client has what `tag` stands for, else the answer's bytes, made where they are not held."""
    etag = f'W/"{hashlib.blake2b(tag.encode(), digest_size=12).hexdigest()}"'
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    if etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(request.app.state.site.answer(tag, make), headers=headers, media_type=media_type)


def dumps(value: Any) -> bytes:
    """JSON as bytes; also of numbers beyond 64 bits and of half a surrogate pair, which orjson refuses."""
    try:
        return orjson.dumps(value, option=_OPTIONS)
    except orjson.JSONEncodeError:
        return stdlib_json.dumps(value, default=lambda array: array.tolist(), separators=(",", ":")).encode()


def event(name: str, value: Any) -> bytes:
    """One server-sent event."""
    return b"event: " + name.encode() + b"\ndata: " + dumps(value) + b"\n\n"


def events(source: AsyncGenerator[bytes]) -> Response:
    """A stream of server-sent events; what goes wrong on the way is its last one, `error`."""

    async def told() -> AsyncIterator[bytes]:
        try:
            async with contextlib.aclosing(source) as pieces:
                async for each in pieces:
                    yield each
        except StudioError as problem:
            yield event("error", problem.to_json())
        except Exception as problem:
            _LOG.error("a stream", exc_info=problem)
            yield event("error", {"error": _fault(problem)})

    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(told(), media_type="text/event-stream", headers=headers)


async def in_thread(source: Iterator[Any], limiter: anyio.CapacityLimiter) -> AsyncGenerator[Any]:
    """The items of a blocking iterator, which is closed when nobody listens any more."""
    nothing = object()
    try:
        while (item := await anyio.to_thread.run_sync(next, source, nothing, limiter=limiter)) is not nothing:
            yield item
    finally:
        close = getattr(source, "close", None)
        if close is not None:
            close()
