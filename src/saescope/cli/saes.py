"""`saescope sae`: bring trained SAEs in, and take them out for other libraries."""

from pathlib import Path
from typing import Annotated

import typer

from .common import State, checked, command, group
from .spec_help import argument, default, option

app = group("sae", "Sparse autoencoders: add, list, show, export, remove.")

Name = Annotated[str, typer.Argument(help="The SAE's name.", show_default=False)]


@command(app, "add")
def add(
    state: State,
    name: Annotated[str, argument("AddSae", "name", show_default=False)],
    source: Annotated[str, argument("AddSae", "source", show_default=False)],
    model: Annotated[str, option("AddSae", "model", show_default=False)],
    hookpoint: Annotated[str, option("AddSae", "hookpoint", show_default=False)],
    format: Annotated[str, option("AddSae", "format")] = default("AddSae", "format"),
) -> None:
    """Bring a trained SAE into the home."""
    from ..specs import AddSae
    from .show.things import sae

    spec = checked(AddSae, name=name, source=source, model=model, hookpoint=hookpoint, format=format)
    state.answer(state.run(spec), sae)


@command(app, "list")
def list_(state: State) -> None:
    """Every SAE of the home."""
    from .show.things import sae_list

    state.answer({"saes": [record.to_json() for record in state.studio.saes()]}, sae_list)


@command(app, "show")
def show(state: State, name: Name) -> None:
    """One SAE: its kind, widths, hookpoint and quality."""
    from .show.things import sae

    state.answer(state.look(lambda: state.studio.show_sae(name)), sae)


@command(app, "export")
def export(
    state: State,
    name: Name,
    folder: Annotated[Path, typer.Argument(help="The folder to write; it must not exist yet.", show_default=False)],
    format: Annotated[str, typer.Option("--format", help="The library that is to read it: saelens.")] = "saelens",
) -> None:
    """Write one SAE as another library's files."""
    from .show.things import exported

    state.answer(state.look(lambda: state.studio.export_sae(name, folder, format)), exported)


@command(app, "remove")
def remove(state: State, name: Name) -> None:
    """Remove one SAE from the home."""
    from .show.things import removed

    state.answer(state.look(lambda: state.studio.remove("sae", name)), removed)
