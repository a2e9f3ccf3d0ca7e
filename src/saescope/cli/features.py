"""`saescope features`: browse what an extraction found."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from .common import State, command, group, valid_text
from .spec_help import argument, default, option

app = group("features", "The features of an extraction: list, show, fire, export, remove.")

SCREEN = 30
"""Features listed when nobody says how many."""


class Stratum(StrEnum):
    top = "top"
    q4 = "q4"
    q3 = "q3"
    q2 = "q2"
    q1 = "q1"
    none = "none"
    all = "all"


class Order(StrEnum):
    asc = "asc"
    desc = "desc"


Extraction = Annotated[str, typer.Argument(help="The extraction's name.", show_default=False)]


@command(app, "list")
def list_(
    state: State,
    extraction: Annotated[
        str | None,
        typer.Argument(help="The extraction's name; without it, every extraction.", show_default=False),
    ] = None,
    sort: Annotated[
        str,
        typer.Option(
            "--sort",
            help="index, label, density, max, clarity, detection, detection_low, fuzzing, mean, active_tokens, "
            "active_samples, token_concentration, context_diversity or consistency.",
        ),
    ] = "index",
    order: Annotated[Order | None, typer.Option("--order", help="Rising or falling.", show_default=False)] = None,
    where: Annotated[
        str | None,
        typer.Option("--where", help="Only these, for example 'density<0.01'.", show_default=False),
    ] = None,
    search: Annotated[
        str | None,
        typer.Option("--search", metavar="WORDS", help="Only labels with these words.", show_default=False),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit",
            min=1,
            help=f"How many; {SCREEN} when not given, all of them with --json.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """The features of one extraction, dead ones included; or every extraction."""
    from .show.features import extraction_list, feature_list

    if extraction is None:
        state.answer({"extractions": [record.to_json() for record in state.studio.extractions()]}, extraction_list)
        return
    some = limit if limit is not None or state.json else SCREEN
    document = state.studio.list_features(
        extraction, sort=sort, order=order and order.value, where=where, search=search, limit=some
    )
    state.answer(document, feature_list, limited=limit is None)


@command(app, "show")
def show(
    state: State,
    extraction: Extraction,
    index: Annotated[int, typer.Argument(help="The feature's index.", show_default=False)],
    stratum: Annotated[
        list[Stratum] | None,
        typer.Option("--stratum", help="Which examples: strongest, a quarter of its activations, silent ones, all."),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Examples to show of each stratum.")] = 10,
) -> None:
    """One feature: figures, activations, examples, what it writes, its neighbours."""
    from .show.feature import STRATA, feature

    chosen = [each.value for each in stratum or [Stratum.top]]
    strata = list(STRATA) if "all" in chosen else chosen
    document = state.studio.show_feature(extraction, index)
    state.answer(document, feature, strata=strata, limit=limit, extraction=extraction)


@command(app, "fire")
def fire(
    state: State,
    extraction: Annotated[str, argument("FireText", "extraction", show_default=False)],
    text: Annotated[str, option("FireText", "text", show_default=False)],
    limit: Annotated[int, option("FireText", "limit")] = default("FireText", "limit"),
) -> None:
    """Which features fire on a text, token by token."""
    from ..specs import FireText
    from .show import feature

    spec = FireText(extraction=extraction, text=valid_text("text", text), limit=limit)
    state.answer(state.run(spec), feature.fire, extraction=extraction)


@command(app, "export")
def export(
    state: State,
    extraction: Extraction,
    file: Annotated[Path, typer.Argument(help="A .parquet, .csv or .jsonl file to write.", show_default=False)],
) -> None:
    """Write every feature of an extraction to a file."""
    from .show.things import exported

    state.answer(state.look(lambda: state.studio.export_features(extraction, file)), exported)


@command(app, "remove")
def remove(state: State, extraction: Extraction) -> None:
    """Remove an extraction from the home."""
    from .show.things import removed

    document = state.look(lambda: state.studio.remove("extraction", extraction))
    state.answer(document, removed)
