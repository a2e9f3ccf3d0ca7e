"""`saescope demo`: the whole pipeline on a real model and real text."""

import typer

from .common import State, command


def add(app: typer.Typer, panel: str) -> None:
    command(app, "demo", rich_help_panel=panel)(demo)


def demo(state: State) -> None:
    """Run the whole pipeline on a real model and real text: train, extract, label, steer."""
    from .show.demo import demo as shown

    state.answer(state.watch(lambda progress, notify: state.studio.demo(progress, notify)), shown)
