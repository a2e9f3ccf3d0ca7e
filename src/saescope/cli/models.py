"""`saescope model`: bring language models in and see where they can be read."""

from typing import Annotated

import typer

from .common import State, checked, command, group
from .spec_help import argument, default, option

app = group("model", "Language models: add, list, show, remove.")

Name = Annotated[str, typer.Argument(help="The model's name.", show_default=False)]


@command(app, "add")
def add(
    state: State,
    name: Annotated[str, argument("AddModel", "name", show_default=False)],
    source: Annotated[str, argument("AddModel", "source", show_default=False)],
    dtype: Annotated[str, option("AddModel", "dtype")] = default("AddModel", "dtype"),
    quantize: Annotated[str, option("AddModel", "quantize")] = default("AddModel", "quantize"),
) -> None:
    """Bring a language model into the home."""
    from ..specs import AddModel
    from .show.things import model

    state.answer(state.run(checked(AddModel, name=name, source=source, dtype=dtype, quantize=quantize)), model)


@command(app, "list")
def list_(state: State) -> None:
    """Every model of the home."""
    from .show.things import model_list

    state.answer({"models": [record.to_json() for record in state.studio.models()]}, model_list)


@command(app, "show")
def show(state: State, name: Name) -> None:
    """One model: its family, layers and hookpoints."""
    from .show.things import model

    state.answer(state.look(lambda: state.studio.show_model(name)), model)


@command(app, "remove")
def remove(state: State, name: Name) -> None:
    """Remove one model from the home."""
    from .show.things import removed

    state.answer(state.look(lambda: state.studio.remove("model", name)), removed)
