"""`saescope extract`: the statistics and strongest examples of every feature."""

from functools import partial
from typing import Annotated, Any

import typer

from .common import State, command
from .spec_help import default, option

_option = partial(option, "ExtractFeatures")
_default = partial(default, "ExtractFeatures")


def add(app: typer.Typer, panel: str) -> None:
    command(app, "extract", rich_help_panel=panel)(extract)


def extract(
    state: State,
    saes: Annotated[list[str], _option("saes", "--sae", show_default=False)],
    dataset: Annotated[str, _option("dataset", show_default=False)],
    samples: Annotated[int | None, _option("samples", show_default=False)] = _default("samples"),
    context: Annotated[int, _option("context")] = _default("context"),
    packing: Annotated[str, _option("packing")] = _default("packing"),
    top_k: Annotated[int, _option("top_k")] = _default("top_k"),
    window: Annotated[int, _option("window")] = _default("window"),
    vectorization_batch_size: Annotated[str, _option("vectorization_batch_size")] = _default(
        "vectorization_batch_size"
    ),
    include_special: Annotated[bool, _option("include_special")] = _default("include_special"),
    seed: Annotated[int, _option("seed")] = _default("seed"),
    name: Annotated[str | None, _option("name", show_default=False)] = _default("name"),
    force: Annotated[bool, _option("force")] = _default("force"),
    estimate: Annotated[bool, _option("estimate")] = _default("estimate"),
    estimate_for: Annotated[list[str] | None, _option("estimate_for", metavar="GPU", show_default=False)] = None,
) -> None:
    """Pass a dataset through a model and its SAEs, and keep what every feature answers to."""
    fields: dict[str, Any] = {key: value for key, value in locals().items() if key != "state"}
    from ..specs import ExtractFeatures
    from .show import work

    spec = ExtractFeatures(**{**fields, "saes": tuple(saes), "estimate_for": tuple(estimate_for or ())})
    show = work.estimate if spec.estimate or spec.estimate_for else work.extract
    state.answer(state.run(spec, stoppable=True), show)
