"""`saescope train`: one SAE on one hookpoint."""

from functools import partial
from typing import Annotated, Any

import typer

from .common import State, command
from .spec_help import default, option

_option = partial(option, "TrainSae")
_default = partial(default, "TrainSae")


def add(app: typer.Typer, panel: str) -> None:
    command(app, "train", rich_help_panel=panel)(train)


def train(
    state: State,
    model: Annotated[str, _option("model", show_default=False)],
    dataset: Annotated[str, _option("dataset", show_default=False)],
    hookpoint: Annotated[str, _option("hookpoint", show_default=False)],
    kind: Annotated[str, _option("kind")] = _default("kind"),
    d_sae: Annotated[int, _option("d_sae")] = _default("d_sae"),
    tokens: Annotated[int, _option("tokens")] = _default("tokens"),
    k: Annotated[int, _option("k")] = _default("k"),
    l1: Annotated[float, _option("l1")] = _default("l1"),
    name: Annotated[str | None, _option("name", show_default=False)] = _default("name"),
    seed: Annotated[int, _option("seed")] = _default("seed"),
    batch: Annotated[int, _option("batch")] = _default("batch"),
    lr: Annotated[float | None, _option("lr", show_default=False)] = _default("lr"),
    context: Annotated[int, _option("context")] = _default("context"),
    packing: Annotated[str, _option("packing")] = _default("packing"),
    buffer: Annotated[int, _option("buffer")] = _default("buffer"),
    reuse: Annotated[int, _option("reuse")] = _default("reuse"),
    checkpoint_every: Annotated[int, _option("checkpoint_every")] = _default("checkpoint_every"),
    include_special: Annotated[bool, _option("include_special")] = _default("include_special"),
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last checkpoint of the same request.")
    ] = False,
) -> None:
    """Train one SAE on the activations of one hookpoint."""
    fields: dict[str, Any] = {key: value for key, value in locals().items() if key not in ("state", "resume")}
    from ..specs import TrainSae
    from .show import work

    state.answer(state.run(TrainSae(**fields), resume=resume), work.train, dataset=dataset)
