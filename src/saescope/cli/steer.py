"""`saescope steer`: continue a prompt with and without edits to features."""

from functools import partial
from typing import Annotated

import typer

from .common import State, checked, command, valid_text
from .spec_help import default, option

_option = partial(option, "SteerText")
_default = partial(default, "SteerText")


def add(app: typer.Typer, panel: str) -> None:
    command(app, "steer", rich_help_panel=panel)(steer)


def steer(
    state: State,
    sae: Annotated[str, _option("sae", show_default=False)],
    prompt: Annotated[str, _option("prompt", show_default=False)],
    edit: Annotated[
        list[str],
        typer.Option(
            "--edit",
            metavar="EDIT",
            help="FEATURE:MODE:AMOUNT[:UNIT], a change to one feature, for example 512:add:2:max or "
            "512:ablate; may be given again. MODE: add, set, min, scale, ablate. UNIT: max, raw, norm.",
            show_default=False,
        ),
    ],
    where: Annotated[str, _option("where")] = _default("where"),
    max_new_tokens: Annotated[int, _option("max_new_tokens")] = _default("max_new_tokens"),
    temperature: Annotated[float, _option("temperature")] = _default("temperature"),
    seed: Annotated[int, _option("seed")] = _default("seed"),
    extraction: Annotated[str | None, _option("extraction", show_default=False)] = _default("extraction"),
) -> None:
    """Continue a prompt with and without edits, side by side."""
    from ..specs import Edit, SteerText
    from .show import steer as shown

    spec = checked(
        SteerText,
        sae=sae,
        prompt=valid_text("prompt", prompt),
        edits=tuple(Edit.parse(text) for text in edit),
        where=where,
        max_new_tokens=max_new_tokens,
        temperature=temperature,
        seed=seed,
        extraction=extraction,
    )
    state.answer(state.run(spec), shown.steer)
