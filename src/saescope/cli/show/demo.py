"""The demo's report: what it cost, how good the SAE is, what its features are, what steering does."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

from .feature import examples
from .features import clarity
from .parts import QUIET, STRONG, facts, heading, label_of, label_text, next_steps
from .steer import edit_line, pair
from .things import quality
from .words import clean, number, percent, score, size
from .work import stages

Document = Mapping[str, Any]


def demo(document: Document, console: Console, prefix: str) -> None:
    pairs = [
        ("model", document["model"]),
        ("trained on", document.get("trained_on")),
        ("extracted from", document["dataset"]),
        ("SAE", " at ".join(clean(document[name]) for name in ("sae", "hookpoint") if document.get(name))),
        ("extraction", document["extraction"]),
        ("home", document.get("home")),
        ("peak memory", size(document["peak_memory_bytes"]) if document.get("peak_memory_bytes") else None),
    ]
    facts(console, [(name, value) for name, value in pairs if value])
    heading(console, "time")
    stages(console, document["stages"])
    heading(console, "the SAE")
    facts(console, quality(document))
    if document.get("features"):
        heading(console, "some of its clearest features", "with their strongest examples")
        for record in document["features"]:
            console.print()
            _feature(record, console)
    steering = document.get("steering")
    if steering:
        heading(console, "one prompt, without and with a feature")
        for edit in steering["edits"]:
            console.print(edit_line(edit))
        pair(steering, console)
    extraction, shown = document["extraction"], document.get("features") or [{"index": 0}]
    index = shown[0]["index"]
    next_steps(
        console,
        prefix,
        f"features list {extraction} --sort clarity --order desc",
        f"features show {extraction} {index}",
        f'features fire {extraction} --text "We the people of the United States"',
        f'steer --sae {document["sae"]} --prompt "My fellow citizens," --edit {index}:add:1',
    )


def _feature(record: Document, console: Console) -> None:
    """Index, label, density, max, clarity, then three examples."""
    line = Text.assemble((str(record["index"]), STRONG), "  ", label_text(label_of(record)), "  ")
    for name, value in (
        ("density", percent(record.get("density"))),
        ("max", number(record.get("max"), 1)),
        ("clarity", score(clarity(record))),
    ):
        line.append(f" {name} ", style=QUIET).append(clean(value))
    console.print(line, overflow="fold")
    rows = [row for row in record.get("examples") or [] if row.get("stratum", "top") == "top"][:3]
    if rows:
        examples(rows, record.get("max") or 0.0, console)
