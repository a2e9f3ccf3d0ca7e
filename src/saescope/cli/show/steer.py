"""A prompt continued without and with edits: side by side where there is room, else one above the other."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from .parts import QUIET, STRONG, label_of, quiet
from .words import clean, number

Document = Mapping[str, Any]
SIDE_BY_SIDE = 100
"""Columns from which two texts stand beside each other."""


def steer(document: Document, console: Console, prefix: str = "") -> None:
    for edit in document["edits"]:
        console.print(edit_line(edit))
    pair(document, console)


def pair(document: Document, console: Console) -> None:
    """The two texts, and whether they differ."""
    prompt = document["prompt"]
    original, steered = (_text(prompt, document[key]) for key in ("original", "steered"))
    panels = [
        Panel(original, title=Text("original"), title_align="left", border_style=QUIET),
        Panel(steered, title=Text("steered", style=STRONG), title_align="left", border_style="yellow"),
    ]
    if console.width >= SIDE_BY_SIDE:
        grid = Table.grid(padding=(0, 1), expand=True)
        grid.add_column(ratio=1)
        grid.add_column(ratio=1)
        grid.add_row(*panels)
        console.print(grid)
    else:
        for panel in panels:
            console.print(panel)
    if document["original"] == document["steered"]:
        quiet(console, "the texts are the same: a larger amount may change them")


def edit_line(edit: Any) -> Text:
    """512 add 2 × max  its label"""
    if isinstance(edit, str):
        return Text(clean(edit))
    mode, amount, unit = edit.get("mode", "add"), edit.get("amount"), edit.get("unit", "max")
    line = Text.assemble((str(edit.get("feature", edit.get("index", ""))), STRONG), f"  {mode}")
    if mode == "scale":
        line.append(f" × {amount:g}")
    elif mode != "ablate" and amount is not None:
        line.append({"max": f" {amount:g} × max", "norm": f" {amount:g} × norm"}.get(unit, f" {amount:g}"))
        if unit == "max" and edit.get("max") is not None:
            line.append(f" ({number(amount * edit['max'], 1)})", style=QUIET)
    label = label_of(edit)
    return line.append(f"  {clean(label)}" if label else "", style=QUIET)


def _text(prompt: str, continued: str) -> Text:
    """The prompt quietly, then what the model wrote."""
    text = Text(clean(prompt, lines=True), style="", overflow="fold")
    text.stylize(QUIET)
    rest = continued.removeprefix(prompt)
    return text.append(clean(rest, lines=True).rstrip("\n"))


def edits(rows: Sequence[Any]) -> list[Text]:
    return [edit_line(row) for row in rows]
