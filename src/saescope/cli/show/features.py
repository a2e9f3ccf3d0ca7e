"""The features of an extraction as a table, and the extractions themselves."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

from .parts import FILL, label_of, label_text, line, next_steps, quiet, table, title
from .words import MISSING, clean, count, day, number, percent, score

Document = Mapping[str, Any]


def extraction_list(document: Document, console: Console, prefix: str) -> None:
    rows = document["extractions"]
    if not rows:
        quiet(console, "no extraction yet")
        next_steps(console, prefix, "extract --sae S --dataset D")
        return
    wide = console.width >= 110
    made = table(
        ("name", FILL),
        ">features",
        ">samples",
        ">tokens",
        "dataset",
        *(["hookpoint"] if wide else []),
        "made",
    )
    for row in rows:
        cells = [
            line(row["name"]),
            count(row["features"]),
            count(row["samples"]),
            count(row["tokens"]),
            Text(clean(row["dataset"])),
        ]
        made.add_row(*cells, *([Text(clean(row["hookpoint"]))] if wide else []), day(row.get("created"))[:10])
    console.print(made)
    next_steps(console, prefix, f"features list {rows[-1]['name']}")


def feature_list(document: Document, console: Console, prefix: str, limited: bool = False) -> None:
    """Index, label, density, max, clarity; more where there is room."""
    rows, total = document["features"], document["total"]
    matching = document.get("matching", total)
    name = clean(document["extraction"])
    if not rows:
        title(console, name)
        quiet(console, f"none of its {count(total)} features matches")
        return
    made = feature_table(rows, console)
    console.print(made)
    shown = Text(f"{count(len(rows))} of {count(matching)} ", style="dim")
    shown.append("features of " if matching == total else f"that match, of {count(total)} features of ").append(name)
    if limited and len(rows) < matching:
        shown.append("; more with --limit N", style="dim")
    console.print()
    console.print(shown)
    live = next((row for row in rows if not row.get("dead")), rows[0])
    next_steps(console, prefix, f"features show {name} {live['index']}")


def feature_table(rows: Any, console: Console) -> Any:
    wide = console.width >= 110
    heads: list[Any] = [">index", ("label", FILL), ">density", ">max", ">clarity"]
    made = table(*heads, *([">mean", ">active tokens", ">active samples"] if wide else []))
    for row in rows:
        dead = bool(row.get("dead"))
        cells: list[Any] = [
            Text(str(row["index"]), style="bold"),
            label_text(label_of(row), dead),
            percent(row.get("density")),
            MISSING if dead else number(row.get("max"), 1),
            score(clarity(row)),
        ]
        if wide:
            mean = MISSING if dead else number(row.get("mean"), 1)
            cells += [mean, count(row.get("active_tokens")), count(row.get("active_samples"))]
        made.add_row(*cells, style="dim" if dead else None)
    return made


def clarity(record: Document) -> float | None:
    """How much of the examples the label covers, wherever the document keeps it."""
    label = record.get("label")
    for place in (record, label if isinstance(label, dict) else None, *(record.get("labels") or [])[:1]):
        if place and place.get("clarity") is not None:
            return place["clarity"]
    return None
