"""Text and numbers, made fit for a terminal: data never steers it, and a number always looks the same."""

import math
from typing import Any

MISSING = "–"


def _signs() -> dict[int, str]:
    """What stands for each character that could move the cursor, turn the text or hide something."""
    signs = {code: chr(0x2400 + code) for code in range(32)}
    signs[0x7F] = "␡"
    signs |= dict.fromkeys((0x0A, 0x0D, 0x2028, 0x2029, 0x85), "↵")
    signs[0x09] = "⇥"
    odd = [*range(0x80, 0x85), *range(0x86, 0xA0), 0xAD, 0x61C, 0x200B, 0x200E, 0x200F, 0xFEFF]
    odd += [*range(0x202A, 0x202F), *range(0x2060, 0x2070), *range(0xFFF9, 0xFFFC)]
    signs |= {code: f"‹{code:02x}›" for code in odd}
    signs |= dict.fromkeys(range(0xE0000, 0xE0080), "")
    signs |= dict.fromkeys(range(0xD800, 0xE000), "\ufffd")
    return signs


_SIGNS = _signs()
_SIGNS_WITH_LINES = {**_SIGNS, 0x0A: "\n", 0x0D: "", 0x2028: "\n", 0x2029: "\n", 0x85: "\n", 0x09: "    "}


def clean(text: object, lines: bool = False) -> str:
    """Data as a terminal may show it: control and direction characters become signs; `lines` keeps breaks."""
    return str(text).translate(_SIGNS_WITH_LINES if lines else _SIGNS)


def count(value: Any) -> str:
    return MISSING if _none(value) else f"{value:,.0f}"


def number(value: Any, digits: int = 2) -> str:
    return MISSING if _none(value) else f"{value:,.{digits}f}"


def percent(share: Any) -> str:
    """A share as percent: two decimals from 0.1 %, three below, 0 for none."""
    if _none(share):
        return MISSING
    value = 100 * share
    return "0 %" if value == 0 else f"{value:.2f} %" if abs(value) >= 0.1 else f"{value:.3f} %"


def score(value: Any) -> str:
    """A clarity or another share of examples, 0 to 1."""
    return number(value, 2)


def size(bytes_: Any) -> str:
    if _none(bytes_):
        return MISSING
    return f"{bytes_ / 2**30:.2f} GiB" if bytes_ >= 2**30 else f"{bytes_ / 2**20:,.0f} MiB"


def duration(seconds: Any) -> str:
    """3.2 s, 4 min 05 s, 1 h 02 min."""
    if _none(seconds):
        return MISSING
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def compact(value: float) -> str:
    """455k, 1.23M: for places where width is dear."""
    for size_, sign in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size_:
            short = value / size_
            return f"{short:.0f}{sign}" if short >= 100 else f"{short:.1f}{sign}"
    return f"{value:.0f}"


def plural(value: int, word: str) -> str:
    return f"{value:,} {word}" if value == 1 else f"{value:,} {word}s"


def day(stamp: Any) -> str:
    """2026-11-23 14:02 of an ISO time."""
    return clean(str(stamp or MISSING)[:16].replace("T", " "))


def _none(value: Any) -> bool:
    return value is None or (isinstance(value, float) and not math.isfinite(value))
