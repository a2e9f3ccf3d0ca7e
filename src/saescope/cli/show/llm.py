"""LLM servers, as the terminal shows them."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from .parts import facts, next_steps, quiet, table, title
from .words import clean, number

Document = Mapping[str, Any]


def added(document: Document, console: Console, prefix: str) -> None:
    title(console, clean(document["name"]), clean(document["model"]))
    facts(
        console, [("address", clean(document["url"])), ("key", clean(document["key"])), ("prices", _prices(document))]
    )
    next_steps(
        console, prefix, f"llm test {document['name']}", f"label E --explainer llm --llm {document['name']} --estimate"
    )


def listed(document: Document, console: Console, prefix: str) -> None:
    if not document["endpoints"]:
        quiet(console, "no LLM servers yet: saescope llm add NAME --url U --model M")
        return
    shown = table("name", "model", "address", "key", ">prices")
    for each in document["endpoints"]:
        shown.add_row(*(clean(each[name]) for name in ("name", "model", "url", "key")), _prices(each))
    console.print(shown)


def tested(document: Document, console: Console, prefix: str) -> None:
    title(console, clean(document["name"]), f"answers in {number(document['seconds'], 1)} s")
    tokens = f"{document['tokens_in']} in, {document['tokens_out']} out"
    readable = "yes" if document["json"] else "no: labels by this model will fail"
    facts(console, [("answers in JSON", readable), ("said", clean(document["said"])), ("tokens", tokens)])


def removed(document: Document, console: Console, prefix: str) -> None:
    console.print(f"{document['name']} and its key are removed", markup=False)


def _prices(document: Document) -> str:
    if document["price_in"] is None:
        return "not known"
    return f"{number(document['price_in'])} in, {number(document['price_out'])} out, for a million tokens"
