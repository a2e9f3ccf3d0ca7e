"""`saescope dataset`: bring documents in and look at them."""

from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import BadValue
from .common import State, command, group
from .spec_help import argument, default, option

if TYPE_CHECKING:
    from ..specs import Packing

app = group("dataset", "Documents: add, list, show, sample, remove.")

Name = Annotated[str, typer.Argument(help="The dataset's name.", show_default=False)]
ForModel = Annotated[
    str | None,
    typer.Option("--model", help="Show the rows that this model's tokenizer makes.", show_default=False),
]
Context = Annotated[int | None, typer.Option("--context", help="Tokens per row.", show_default=False)]


@command(app, "add")
def add(
    state: State,
    name: Annotated[str, argument("AddDataset", "name", show_default=False)],
    source: Annotated[str, argument("AddDataset", "source", show_default=False)],
    text_field: Annotated[str | None, option("AddDataset", "text_field", show_default=False)] = default(
        "AddDataset", "text_field"
    ),
    split: Annotated[str, option("AddDataset", "split")] = default("AddDataset", "split"),
    limit: Annotated[int | None, option("AddDataset", "limit", show_default=False)] = default("AddDataset", "limit"),
) -> None:
    """Bring documents into the home: local files, or a dataset of a hub."""
    from ..specs import AddDataset
    from .show.things import dataset

    spec = AddDataset(name=name, source=source, text_field=text_field, split=split, limit=limit)
    state.answer(state.run(spec), dataset)


@command(app, "list")
def list_(state: State) -> None:
    """Every dataset of the home."""
    from .show.things import dataset_list

    state.answer({"datasets": [record.to_json() for record in state.studio.datasets()]}, dataset_list)


@command(app, "show")
def show(state: State, name: Name, model: ForModel = None, context: Context = None) -> None:
    """Documents, samples, tokens and length quantiles of one dataset."""
    from .show.things import dataset

    document = state.look(
        lambda: state.studio.show_dataset(name, context=context, model=model), tokenizes=model is not None
    )
    state.answer(document, dataset)


@command(app, "sample")
def sample(
    state: State,
    name: Name,
    model: ForModel = None,
    context: Context = None,
    packing: Annotated[str, typer.Option("--packing", help="packed, or documents: one document to a row.")] = "packed",
    limit: Annotated[int, typer.Option("--limit", min=1, help="Samples to print.")] = 5,
) -> None:
    """Print documents; with --model, the rows exactly as an extraction sees them."""
    from .show.things import dataset_sample

    document = state.look(
        lambda: state.studio.sample_dataset(name, model=model, context=context, limit=limit, packing=_packing(packing)),
        tokenizes=model is not None,
    )
    state.answer(document, dataset_sample)


@command(app, "remove")
def remove(state: State, name: Name) -> None:
    """Remove one dataset from the home."""
    from .show.things import removed

    state.answer(state.look(lambda: state.studio.remove("dataset", name)), removed)


def _packing(value: str) -> "Packing":
    if value not in ("packed", "documents"):
        raise BadValue(f"packing: {value!r} is neither 'packed' nor 'documents'", "leave it out for 'packed'")
    return value
