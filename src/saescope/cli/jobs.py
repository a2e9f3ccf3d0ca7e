"""`saescope jobs`: what runs, what ran, stopping it and going on with it."""

from typing import Annotated, Any

import typer

from ..errors import BadValue
from .common import State, command, group

app = group("jobs", "What runs and what ran: every add, train, extract and label is a job.")

Id = Annotated[str, typer.Argument(help="The job's id, or the beginning of it.", metavar="ID")]


@command(app, "list")
def list_jobs(
    state: State,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Jobs to show, newest first.")] = 20,
    only: Annotated[
        str | None, typer.Option("--state", help="queued, running, succeeded, failed or cancelled.", show_default=False)
    ] = None,
) -> None:
    """Jobs, newest first."""
    from .show import jobs as show

    state.answer({"jobs": [job.to_json() for job in state.studio.jobs(limit=limit, state=only)]}, show.listed)


@command(app, "show")
def show_job(state: State, id: Id) -> None:
    """One job, with what it said."""
    from .show import jobs as show

    state.answer(state.studio.show_job(id), show.one)


@command(app, "cancel")
def cancel(state: State, id: Id) -> None:
    """Ask a job to stop; what is whole is kept."""
    from .show import jobs as show

    state.answer(state.studio.cancel_job(id).to_json(), show.one)


@command(app, "resume")
def resume(state: State, id: Id) -> None:
    """Go on with a cancelled or failed job: in the worker that serves this home, else here."""
    from .show import jobs as show

    document: dict[str, Any] = state.watch(
        lambda progress, notify: state.studio.resume_job(id, progress, notify), stoppable=True
    )
    state.answer(document, show.one)


@command(app, "prune")
def prune(
    state: State,
    keep: Annotated[int, typer.Option("--keep", min=0, help="Finished jobs to keep, the newest.")] = 100,
) -> None:
    """Remove the records of old finished jobs, and what cancelled ones kept to go on from; what they made stays."""
    from .show import jobs as show

    if keep < 0:
        raise BadValue(f"keep is {keep}", "keep 0 or more")
    state.answer({"removed": state.studio.prune_jobs(keep), "kept": keep}, show.pruned)
