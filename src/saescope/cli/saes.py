"""`saescope sae`: bring trained SAEs in, and take them out for other libraries."""

from pathlib import Path
from typing import Annotated

import typer

from .common import State, checked, command, group
from .spec_help import argument, default, option

app = group("sae", "Sparse autoencoders: add, list, show, check, export, remove.")

Name = Annotated[str, typer.Argument(help="The SAE's name.", show_default=False)]


@command(app, "add")
def add(
    state: State,
    name: Annotated[str, argument("AddSae", "name", show_default=False)],
    source: Annotated[str, argument("AddSae", "source", show_default=False)],
    model: Annotated[str, option("AddSae", "model", show_default=False)],
    hookpoint: Annotated[str | None, option("AddSae", "hookpoint", show_default=False)] = None,
    hookpoint_out: Annotated[str | None, option("AddSae", "hookpoint_out", show_default=False)] = None,
    format: Annotated[str, option("AddSae", "format")] = default("AddSae", "format"),
    mapping: Annotated[str | None, option("AddSae", "mapping", show_default=False)] = None,
    scale: Annotated[float | None, option("AddSae", "scale", show_default=False)] = None,
    split_signs: Annotated[bool, option("AddSae", "split_signs")] = default("AddSae", "split_signs"),
) -> None:
    """Bring a trained SAE into the home."""
    from ..specs import AddSae
    from .show.things import sae

    spec = checked(
        AddSae,
        name=name,
        source=source,
        model=model,
        hookpoint=hookpoint,
        hookpoint_out=hookpoint_out,
        format=format,
        mapping=mapping,
        scale=scale,
        split_signs=split_signs,
    )
    state.answer(state.run(spec), sae)


@command(app, "check")
def check(
    state: State,
    sae: Annotated[str, argument("CheckSae", "sae", show_default=False)],
    model: Annotated[str, option("CheckSae", "model", show_default=False)],
    dataset: Annotated[str, option("CheckSae", "dataset", show_default=False)],
    hookpoint: Annotated[str | None, option("CheckSae", "hookpoint", show_default=False)] = None,
    samples: Annotated[int, option("CheckSae", "samples")] = default("CheckSae", "samples"),
    context: Annotated[int, option("CheckSae", "context")] = default("CheckSae", "context"),
) -> None:
    """Does an SAE fit a model's hookpoint? FVU, L0, norm ratio, BOS, and the likeliest reason when it does not."""
    from ..specs import CheckSae
    from .show.fit import sae_check

    spec = checked(
        CheckSae, sae=sae, model=model, dataset=dataset, hookpoint=hookpoint, samples=samples, context=context
    )
    state.answer(state.run(spec), sae_check)


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
    format: Annotated[
        str,
        typer.Option("--format", help="The library that is to read it: saelens, dictionary_learning or sparsify."),
    ] = "saelens",
) -> None:
    """Write one SAE as another library's files."""
    from .show.things import exported

    state.answer(state.look(lambda: state.studio.export_sae(name, folder, format)), exported)


@command(app, "remove")
def remove(state: State, name: Name) -> None:
    """Remove one SAE from the home."""
    from .show.things import removed

    state.answer(state.look(lambda: state.studio.remove("sae", name)), removed)
