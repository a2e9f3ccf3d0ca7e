"""What `bench extract` found, as tables of ratios."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

from .parts import facts, heading, quiet, table, title
from .words import clean, count, number, size

Document = Mapping[str, Any]


def extract(document: Document, console: Console, prefix: str) -> None:
    machine = document["machine"]
    title(console, "extraction against its floor", document["model"], document["hookpoint"])
    facts(
        console,
        [
            ("machine", f"{machine['processor']}, {machine['cores']} cores, {machine['threads']} threads"),
            ("versions", ", ".join(f"{name} {version}" for name, version in document["versions"].items())),
            ("rows", f"{document['context']} tokens of {clean(document['dataset'])}, top-k {document['top_k']}"),
            ("peak memory", size(document["peak_memory_bytes"])),
        ],
    )
    console.print()
    made = table(
        "kind", ">features", ">SAEs", ">samples", ">floor tok/s", ">ours tok/s", ">÷ floor", ">÷ own", ">stage"
    )
    for cell in document["cells"]:
        speed = cell["tokens_per_second"]
        made.add_row(
            Text(cell["kind"]),
            count(cell["d_sae"]),
            count(cell["saes"]),
            count(cell["samples"]),
            count(speed["floor"]),
            count(speed["ours"]),
            Text(number(cell["ours_over_floor"], 3), style="bold"),
            number(cell["ours_over_own_floor"], 3),
            number(cell["stage_over_matmul"], 2),
        )
    console.print(made)
    for sentence in (
        "floor: plain transformers to the hookpoint + one encoder product for each SAE",
        "÷ floor, ÷ own: our seconds by those of the floor; by our own forward + the same products",
        "stage: speed of encoding and all that is kept, as a share of the bare product's",
    ):
        quiet(console, sentence)
    if document["loops"]:
        heading(console, "the ways the project began with", "forward included, timed on a few samples")
        made = table(">features", "way", ">samples timed", ">tokens/s", ">× ours in seconds")
        for each in document["loops"]:
            for name, words in (("sketch", "dense vectorization"), ("sequential", "loop over features")):
                way = each[name]
                made.add_row(
                    count(each["d_sae"]),
                    Text(words),
                    count(way["measured_samples"]),
                    count(way["tokens_per_second"]),
                    number(way["over_ours"], 1),
                )
        console.print(made)
