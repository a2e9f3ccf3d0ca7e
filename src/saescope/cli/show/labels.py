"""Labels and prompts, as the terminal shows them."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

from .parts import FILL, table, title
from .words import clean, number, plural

Document = Mapping[str, Any]


def history(document: Document, console: Console, prefix: str) -> None:
    """Every label of a feature, the shown one first."""
    title(console, f"feature {document['index']}", f"{plural(len(document['labels']), 'label')}, the first is shown")
    shown = table(">id", ("label", FILL), "source", ">detection", ">fuzzing")
    for label in document["labels"]:
        scores = [label["scores"].get(name, {}).get("value") for name in ("detection", "fuzzing")]
        shown.add_row(str(label["id"]), Text(clean(label["text"])), clean(label["source"]), *map(number, scores))
    console.print(shown)


def imported(document: Document, console: Console, prefix: str) -> None:
    console.print(f"{plural(document['labels'], 'label')} added to {document['extraction']}", markup=False)


def exported(document: Document, console: Console, prefix: str) -> None:
    console.print(f"{plural(document['labels'], 'label')} written to {document['file']}", markup=False)


def prompt_list(document: Document, console: Console, prefix: str) -> None:
    shown = table("prompt", "version")
    for each in document["prompts"]:
        shown.add_row(each["name"], each["version"])
    console.print(shown)


def prompt(document: Document, console: Console, prefix: str) -> None:
    title(console, document["version"])
    console.print(clean(document["text"], lines=True), markup=False, highlight=False, soft_wrap=True)


def copied(document: Document, console: Console, prefix: str) -> None:
    console.print(f"{document['version']} copied to {document['file']}", markup=False)


def rendered(document: Document, console: Console, prefix: str) -> None:
    """What would be asked for one label."""
    title(console, f"feature {document['feature']}", document["prompt"])
    for part in ("system", "user"):
        console.print(
            f"# {part}", clean(document[part], lines=True), sep="\n", markup=False, highlight=False, soft_wrap=True
        )
