"""The app: every resource under /api, the pages beside it, the guard in front."""

import contextlib
import logging
import os
from collections.abc import AsyncIterator, Collection
from typing import Any

import anyio
import anyio.to_thread
from fastapi import FastAPI

from ..errors import StudioError
from ..home import Home
from ..version import VERSION
from . import answers, ask, features, jobs, llm, rest, things
from .guard import Guard
from .login import Password, add_login
from .memory import give_back
from .pages import add_pages
from .site import Site

_LOG = logging.getLogger("saescope.web")

_THREADS = max(2, os.cpu_count() or 2)
"""Requests worked on at a time: more would only take turns, and memory."""

_TIDY_SECONDS = 5.0

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def create_app(
    home: Home, token: str, *, allowed_hosts: Collection[str] = LOOPBACK, password: str | None = None
) -> FastAPI:
    """The studio of a home, for whoever has the token, or the password where there is one."""
    site = Site(home)

    @contextlib.asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = _THREADS
        async with anyio.create_task_group() as group:
            group.start_soon(_tidy)
            group.start_soon(_open_newest, site)
            yield
            group.cancel_scope.cancel()
        site.close()

    app = _bare(life)
    app.state.site = site
    if password is not None:
        add_login(app, Password(password), token)
    add_pages(app)
    app.add_middleware(Guard, token=token, allowed_hosts=allowed_hosts, password=password is not None)
    return app


async def _open_newest(site: Site) -> None:
    """Open what is asked for first, most likely, before it is: some seconds of reading for very many features."""
    try:
        await anyio.to_thread.run_sync(site.open_newest)
    except StudioError:
        pass  # whoever asks for it is told
    except Exception as problem:
        _LOG.warning("the newest extraction cannot be opened", exc_info=problem)


async def _tidy() -> None:
    """Give back from time to time what requests have left free."""
    while True:
        await anyio.sleep(_TIDY_SECONDS)
        await anyio.to_thread.run_sync(give_back)


def openapi() -> dict[str, Any]:
    """The API's description, without a home."""
    return _bare(None).openapi()


def _bare(life: Any) -> FastAPI:
    app = FastAPI(
        title="saescope",
        version=VERSION,
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=life,
        generate_unique_id_function=lambda route: route.name,
    )
    answers.add_handlers(app)
    for module in (rest, things, features, ask, jobs, llm):
        app.include_router(module.router, prefix="/api")
    return app
