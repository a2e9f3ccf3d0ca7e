"""`saescope doctor`: what this machine can do, and what is wrong with this home."""

import typer

from .common import State, command


def add(app: typer.Typer, panel: str) -> None:
    command(app, "doctor", rich_help_panel=panel)(doctor)


def doctor(state: State) -> None:
    """What this machine can do, and what is wrong with this home."""
    from .show.doctor import doctor as shown

    state.answer(state.look(lambda: state.studio.doctor()), shown)
