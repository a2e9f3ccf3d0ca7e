"""The few parts that every answer is made of: a table without boxes, a line of facts, what to type next."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from .words import clean

QUIET = "dim"
STRONG = "bold"
ASIDE = "cyan"
AMBER = "yellow"


def table(*columns: str | tuple[str, dict[str, Any]]) -> Table:
    """A table without boxes: quiet heads, numbers to the right (a head that begins with '>')."""
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style=QUIET, show_edge=False)
    for column in columns:
        name, options = column if isinstance(column, tuple) else (column, {})
        right = name.startswith(">")
        made.add_column(
            Text(name.removeprefix(">")), justify="right" if right else "left", **{"no_wrap": True, **options}
        )
    return made


FILL: dict[str, Any] = {"overflow": "ellipsis", "no_wrap": False}
"""The column that gives way when the terminal is narrow; its cells are `line`s."""


def line(text: Any, style: str = "") -> Text:
    """Data on one line, cut with … where there is no room."""
    return Text(clean(text), style=style, no_wrap=True, overflow="ellipsis")


def title(console: Console, name: Any, *facts: str) -> None:
    """The thing's name, then its facts, quietly."""
    head = Text(clean(name), style=STRONG)
    for fact in facts:
        if fact:
            head.append("  " + fact, style=QUIET)
    console.print(head, overflow="fold")


def flow(console: Console, pairs: Sequence[tuple[str, str]]) -> None:
    """Figures one after the other, a new line only between two of them."""
    row = Text()
    for name, value in pairs:
        part = Text.assemble((f"{name} ", QUIET), value)
        if row.plain and row.cell_len + 3 + part.cell_len > console.width:
            console.print(row)
            row = Text()
        row = row.append("   " if row.plain else "").append_text(part)
    console.print(row)


def facts(console: Console, pairs: Sequence[tuple[str, Any]]) -> None:
    """Names at the left in one column, values beside them; a Text is taken as it is."""
    wide = max((len(name) for name, _ in pairs), default=0)
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style=QUIET, no_wrap=True, min_width=wide)
    grid.add_column(overflow="fold")
    for name, value in pairs:
        grid.add_row(name, value if isinstance(value, Text) else Text(clean(value)))
    console.print(grid)


def heading(console: Console, text: str, aside: str = "") -> None:
    console.print()
    console.print(Text.assemble((text, STRONG), (f"  {aside}" if aside else "", QUIET)))


def quiet(console: Console, text: str) -> None:
    console.print(Text(text, style=QUIET))


def next_steps(console: Console, prefix: str, *steps: str) -> None:
    """What to type next, ready to be copied: never broken over lines."""
    console.print()
    console.print(Text("next", style=QUIET))
    for step in steps:
        console.print(Text.assemble("  ", (f"{prefix} {step}", ASIDE)), soft_wrap=True)


def label_text(text: Any, dead: bool = False) -> Text:
    """A feature's label, or that there is none."""
    if text:
        return line(text)
    return line("dead" if dead else "no label yet", QUIET)


def label_of(record: Any) -> str | None:
    """The label's words, whether a document holds the words or the whole label."""
    label = record.get("label")
    if isinstance(label, dict):
        label = label.get("text")
    if not label and record.get("labels"):
        label = record["labels"][0].get("text")
    return label
