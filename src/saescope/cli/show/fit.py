"""Whether an SAE fits: the verdict, the figures, and what was tried."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

from .parts import AMBER, FILL, facts, heading, line, next_steps, table, title
from .words import clean, count, number

Document = Mapping[str, Any]


def sae_check(document: Document, console: Console, prefix: str) -> None:
    where = document["hookpoint"]
    if document.get("hookpoint_out"):
        where += f" to {document['hookpoint_out']}"
    title(console, document["sae"], clean(where), f"{count(document['tokens'])} tokens")
    mark = ("✓ ", "green") if document["fits"] else ("! ", AMBER)
    console.print(Text.assemble(mark, clean(document["verdict"])))
    if document["fvu"] is None:
        return
    bos = document["bos"]
    pairs: list[tuple[str, Any]] = [
        ("FVU", number(document["fvu"], 3)),
        ("L0", f"{number(document['l0'], 1)} active features per token"),
        ("norm ratio", f"{number(document['norm_ratio'], 3)} (length of the reconstruction, of what it should be)"),
        (
            "BOS",
            f"norm {number(bos['norm'], 1)} against a median of {number(bos['median_norm'], 1)}, "
            f"{number(bos['l0'], 0)} features active, error {number(bos['relative_error'], 2)} of it; not counted",
        ),
    ]
    facts(console, [*pairs, *(("note", note) for note in document.get("notes") or [])])
    if document["tried"]:
        heading(console, "tried")
        made = table("reason", ("what", FILL), ">FVU", ">L0", ">norm ratio")
        for each in document["tried"]:
            made.add_row(
                each["reason"],
                line(each["what"]),
                number(each["fvu"], 3),
                number(each["l0"], 1),
                number(each["norm_ratio"], 3),
            )
        console.print(made)
    if document["fits"]:
        next_steps(console, prefix, f"extract --sae {document['sae']} --dataset {document['dataset']}")
