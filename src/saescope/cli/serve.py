"""`saescope serve`: the studio in a browser, and the worker that carries out its jobs."""

from typing import Annotated

import typer

from .common import State, command


def add(app: typer.Typer, panel: str) -> None:
    command(app, "serve", rich_help_panel=panel)(serve)


def serve(
    state: State,
    host: Annotated[
        str, typer.Option("--host", help="Where to listen; anything but loopback needs a password.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port to listen on.")] = 8420,
) -> None:
    """Serve this home: pages in a browser, jobs in a worker that is started again when it dies."""
    from ..jobs.supervisor import serve as supervise

    supervise(state.studio.home, host, port, lambda line: state.err.print(line, soft_wrap=True))
