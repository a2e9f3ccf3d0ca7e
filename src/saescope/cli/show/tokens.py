"""Tokens, shaded by how active a feature is on them.

Amber backgrounds in eight even steps, relative to the feature's largest activation; any activation above zero
gets at least one step. The peak is also bold and underlined; without colour it stands between « and ».
"""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len, get_character_cell_size
from rich.console import Console
from rich.style import Style
from rich.text import Text

from .words import clean

_DARK = ["#2f261a", "#3e2e1a", "#4e351a", "#5e3c19", "#6f4317", "#814916", "#945015", "#a65615"]
_LIGHT = ["#f8f0e0", "#f5e5c9", "#f4dab1", "#f3cd9a", "#f3c183", "#f3b36b", "#f3a552", "#f49635"]
_INDEXED = [94, 94, 130, 130, 136, 172, 172, 214]
"""The same walk on the 256-colour palette, where nearest-colour matching would give greys."""


@dataclass(frozen=True)
class Scale:
    """How activations are shaded in one console."""

    styles: tuple[Style, ...]
    marks: bool
    """Put « » around the peak, because shading cannot be seen."""

    def style(self, activation: float, maximum: float, peak: bool) -> Style:
        style = Style(bold=True, underline=True) if peak and not self.marks else Style()
        if activation > 0 and maximum > 0 and self.styles:
            level = min(len(self.styles), max(1, math.ceil(len(self.styles) * activation / maximum)))
            return self.styles[level - 1] + style
        return style


def scale(console: Console) -> Scale:
    """The shades this console can show."""
    system = console.color_system
    if system is None or console.no_color:
        return Scale((), marks=True)
    if system == "truecolor":
        light = os.environ.get("COLORFGBG", "").endswith((";7", ";15"))
        ink, steps = ("#181b20", _LIGHT) if light else ("#ffffff", _DARK)
        return Scale(tuple(Style(color=ink, bgcolor=step) for step in steps), marks=False)
    if system == "256":
        return Scale(
            tuple(Style(color="color(231)" if n < 136 else "color(16)", bgcolor=f"color({n})") for n in _INDEXED),
            marks=False,
        )
    return Scale((Style(color="yellow"), Style(color="black", bgcolor="yellow")), marks=False)


def run(
    tokens: Sequence[str],
    activations: Sequence[float],
    maximum: float,
    shades: Scale,
    peak: int | None = None,
) -> Text:
    """Tokens in reading order, each shaded; `peak` is a place in `tokens`."""
    text = Text(no_wrap=True, end="")
    for place, token in enumerate(tokens):
        activation = activations[place] if place < len(activations) else 0.0
        word = clean(token)
        if place == peak:
            # The space before a word belongs to the gap: the marked word itself begins the column.
            bare = word.lstrip(" ") or word
            text.append(word[: len(word) - len(bare)])
            word = f"«{bare}»" if shades.marks else bare
        text.append(word, shades.style(activation, maximum, place == peak))
    return text


def example(record: Mapping[str, Any], maximum: float, shades: Scale, width: int) -> Text:
    """One example on one line of `width` cells, its peak beginning in the same column as every other's."""
    tokens, activations = record["tokens"], record["activations"]
    peak = int(record["peak"]) - int(record["start"])
    if not record.get("activation") or not 0 <= peak < len(tokens):  # a sample where the feature is silent
        return cut_end(run(tokens, activations, maximum, shades), width)
    column = int(width * 0.46)
    left = run(tokens[:peak], activations[:peak], maximum, shades)
    right = run(tokens[peak:], activations[peak:], maximum, shades, peak=0)
    gap = len(clean(tokens[peak])) - len(clean(tokens[peak]).lstrip(" "))
    if 0 < gap < len(clean(tokens[peak])):
        left.append(" " * gap)
        right = right[gap:]
    left = cut_start(left, column)
    line = Text(" " * (column - cell_len(left.plain)), no_wrap=True, end="")
    return line.append_text(left).append_text(cut_end(right, width - column))


def cut_end(text: Text, width: int) -> Text:
    """The beginning of a text, in at most `width` cells, with … where something was cut."""
    text = text.copy()
    text.truncate(max(1, width), overflow="ellipsis")
    return text


def cut_start(text: Text, width: int) -> Text:
    """The end of a text, in at most `width` cells, with … where something was cut."""
    if cell_len(text.plain) <= width:
        return text
    room, start = width - 1, len(text.plain)
    while start and get_character_cell_size(text.plain[start - 1]) <= room:
        start -= 1
        room -= get_character_cell_size(text.plain[start])
    return Text(no_wrap=True, end="").append("…", "dim").append_text(text[start:])


BARS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], log: bool = False) -> str:
    """One block character for each value; nothing where the value is zero."""
    heights = [math.log1p(value) if log else value for value in values]
    top = max(heights, default=0.0)
    if top <= 0:
        return " " * len(heights)
    return "".join(BARS[min(7, math.ceil(8 * height / top) - 1)] if height > 0 else " " for height in heights)
