"""`saescope cache`: activations kept on the disk by `train --cache`."""

from typing import Annotated

import typer

from .common import State, command, group

app = group("cache", "Activations kept by train --cache: list, remove.")


@command(app, "list")
def list_(state: State) -> None:
    """Every cache of activations: what it holds, how much of it is there, and what it takes on the disk."""
    from .show.things import cache_list

    state.answer({"caches": state.studio.caches()}, cache_list)


@command(app, "remove")
def remove(
    state: State,
    id: Annotated[str, typer.Argument(help="The cache's id, or its beginning.", show_default=False)],
) -> None:
    """Remove one cache; a training that wants its activations runs the model again."""
    from .show.things import removed

    state.answer(state.look(lambda: state.studio.remove_cache(id)), removed)
