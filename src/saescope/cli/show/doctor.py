"""What this machine can do, and what is wrong with the home."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

from .parts import quiet, table
from .words import clean, plural

_SIGNS = {True: ("✓", "green"), False: ("✕", "bold red"), None: ("·", "dim")}


def doctor(document: Mapping[str, Any], console: Console, prefix: str) -> None:
    made = table("", "check", ("finding", {"no_wrap": False, "overflow": "fold"}))
    for check in document["checks"]:
        value = Text(clean("" if check.get("value") is None else check["value"]))
        if check.get("hint"):
            value.append(
                ("\n" if value.plain else "") + clean(check["hint"]),
                style="yellow" if check["ok"] is False else "dim",
            )
        made.add_row(Text(*_SIGNS[check["ok"]]), Text(clean(check["name"])), value)
    console.print(made)
    wrong = sum(check["ok"] is False for check in document["checks"])
    console.print()
    quiet(console, f"{plural(wrong, 'thing')} to put right" if wrong else "nothing is wrong")
