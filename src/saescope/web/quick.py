"""Endpoints that answer within milliseconds, without a thread of their own."""

import functools
from collections.abc import Awaitable, Callable
from typing import Any

from anyio import to_thread
from starlette.responses import Response

from .site import Site


def quick(answer: Callable[..., Response]) -> Callable[..., Awaitable[Response]]:
    """Call an endpoint in the event loop where all that it needs is held ready, else in a thread.

    A thread is worth it for what waits. What only computes takes Python's interpreter from the loop and back again
    with every system call of either: a fifth fewer answers (docs/performance.md).
    """

    @functools.wraps(answer)
    async def called(*, site: Site, **given: Any) -> Response:
        if site.ready(given.get("extraction"), given.get("search")):
            return answer(site=site, **given)
        return await to_thread.run_sync(lambda: answer(site=site, **given))

    return called
