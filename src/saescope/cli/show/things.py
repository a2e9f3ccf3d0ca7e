"""Datasets, models and SAEs: what is in the home."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from .parts import FILL, facts, heading, line, next_steps, quiet, table, title
from .words import clean, count, day, number, percent, plural, size

Document = Mapping[str, Any]


def dataset_list(document: Document, console: Console, prefix: str) -> None:
    rows = document["datasets"]
    if _empty(console, rows, prefix, "no dataset yet", "dataset add NAME SOURCE"):
        return
    made = table("name", ">documents", ">blank", ">characters", ("source", FILL), "added")
    for row in rows:
        made.add_row(
            Text(clean(row["name"])),
            count(row["documents"]),
            count(row["blank_documents"]),
            count(row["characters"]),
            line(row["source"]),
            day(row.get("created"))[:10],
        )
    console.print(made)


def cache_list(document: Document, console: Console, prefix: str) -> None:
    rows = document["caches"]
    if _empty(console, rows, prefix, "no cache of activations", "train --cache float16 …"):
        return
    made = table("id", "hookpoint", ">context", "format", ">rows there", ">size")
    for row in rows:
        made.add_row(
            Text(row["id"][:12]),
            Text(clean(row["hookpoint"])),
            count(row["context"]),
            Text(row["format"]),
            f"{count(row['present'])} of {count(row['rows'])}",
            size(row["bytes"]),
        )
    console.print(made)


def dataset(document: Document, console: Console, prefix: str) -> None:
    """Documents, samples and tokens, with the length quantiles where they are known."""
    title(console, document["name"], plural(document["documents"], "document"))
    pairs: list[tuple[str, Any]] = []
    if document.get("source"):
        pairs.append(("source", document["source"]))
    if document.get("text_field"):
        pairs.append(("text field", document["text_field"]))
    if document.get("blank_documents"):
        pairs.append(("blank", f"{plural(document['blank_documents'], 'document')} left out"))
    if document.get("characters") is not None:
        pairs.append(("characters", count(document["characters"])))
    if document.get("samples") is not None:
        context = document.get("context")
        pairs.append(("samples", count(document["samples"]) + (f" of {count(context)} tokens" if context else "")))
    if document.get("tokens") is not None:
        by = f" of {clean(document['model'])}'s tokenizer" if document.get("model") else ""
        pairs.append(("tokens", count(document["tokens"]) + by))
    facts(console, pairs)
    if document.get("lengths"):
        heading(console, "document length", "in tokens")
        made = table(*(f">{_quantile(name)}" for name in document["lengths"]))
        made.add_row(*(count(value) for value in document["lengths"].values()))
        console.print(made)
    steps = [f"dataset sample {document['name']}"]
    if document.get("samples") is None:
        steps.append(f"dataset show {document['name']} --model M")
    next_steps(console, prefix, *steps)


def _quantile(name: str) -> str:
    try:
        share = float(name)
    except ValueError:
        return {"min": "shortest", "max": "longest"}.get(name, clean(name))
    return {0.0: "shortest", 0.5: "median", 1.0: "longest"}.get(share, f"{100 * share:g} %")


def dataset_sample(document: Document, console: Console, prefix: str) -> None:
    """Each sample's text, as an extraction sees it."""
    for row in document["samples"]:
        tokens = f"{len(row['token_ids'])} tokens" if row.get("token_ids") else ""
        title(console, f"{'sample' if tokens else 'document'} {row['sample']}", tokens)
        console.print(Text(clean(row["text"], lines=True).strip("\n")), overflow="fold")
        console.print()


def model_list(document: Document, console: Console, prefix: str) -> None:
    rows = document["models"]
    if _empty(console, rows, prefix, "no model yet", "model add NAME SOURCE"):
        return
    made = table("name", "family", ">layers", ">d_model", ">context", "dtype", ("source", FILL), "added")
    for row in rows:
        dtype = row["dtype"] if row.get("quantize", "none") == "none" else row["quantize"]
        made.add_row(
            Text(clean(row["name"])),
            Text(clean(row["family"])),
            count(row["layers"]),
            count(row["d_model"]),
            count(row["context"]),
            Text(clean(dtype)),
            line(row["source"]),
            day(row.get("created"))[:10],
        )
    console.print(made)


def model(document: Document, console: Console, prefix: str) -> None:
    title(console, document["name"], clean(document["family"]), plural(document["layers"], "layer"))
    pairs: list[tuple[str, Any]] = [("d_model", count(document["d_model"]))]
    pairs += [(key, count(document[key])) for key in ("context", "vocabulary") if document.get(key) is not None]
    pairs += [
        (key, document[key]) for key in ("dtype", "quantize", "source") if document.get(key) not in (None, "none")
    ]
    facts(console, pairs)
    points = document.get("hookpoints") or []
    kinds: dict[tuple[str, int], list[int]] = {}
    plain: list[tuple[str, int]] = []
    for point in points:
        parts = point["name"].split(".")
        if len(parts) == 3 and parts[1].isdigit():
            kinds.setdefault((f"{parts[0]}.N.{parts[2]}", point["width"]), []).append(int(parts[1]))
        else:
            plain.append((point["name"], point["width"]))
    heading(console, "hookpoints", f"{len(points)} in all")
    made = table("name", "N", ">width")
    for name, width in plain:
        made.add_row(Text(clean(name)), "", count(width))
    for (name, width), layers in kinds.items():
        made.add_row(Text(clean(name)), _span(layers), count(width))
    console.print(made)


def _span(layers: Sequence[int]) -> str:
    """0–29 where the layers are neighbours, else the list."""
    whole = list(range(min(layers), max(layers) + 1)) == sorted(layers)
    return f"{min(layers)}–{max(layers)}" if whole and len(layers) > 1 else ", ".join(map(str, layers))


def sae_list(document: Document, console: Console, prefix: str) -> None:
    rows = document["saes"]
    if _empty(console, rows, prefix, "no SAE yet", "train --model M --dataset D --hookpoint layers.N.resid_post"):
        return
    made = table("name", "kind", ">d_sae", ">FVU", ">L0", ">dead", ("hookpoint", FILL), "model")
    for row in rows:
        metrics = row.get("metrics") or {}
        made.add_row(
            Text(clean(row["name"])),
            Text(clean(row["kind"])),
            count(row["d_sae"]),
            number(metrics.get("fvu"), 3),
            number(metrics.get("l0"), 1),
            count(metrics.get("dead")),
            line(row["hookpoint"]),
            Text(clean(row["model"])),
        )
    console.print(made)


def sae(document: Document, console: Console, prefix: str) -> None:
    title(console, document["name"], clean(document["kind"]), f"{count(document['d_sae'])} features")
    pairs: list[tuple[str, Any]] = [
        (key, document.get(key)) for key in ("model", "hookpoint", "source") if document.get(key)
    ]
    pairs.append(("width", f"d_in {count(document['d_in'])}, d_sae {count(document['d_sae'])}"))
    if document.get("d_out"):
        skip = ", and a skip" if document.get("skip") else ""
        pairs.append(("writes", f"{document.get('hookpoint_out')}, {count(document['d_out'])} numbers{skip}"))
    if document.get("k"):
        pairs.append(("k", count(document["k"])))
    pairs += [("note", note) for note in document.get("notes") or []]
    metrics = document.get("metrics") or {}
    pairs += quality({**metrics, "d_sae": document["d_sae"]})
    facts(console, pairs)
    next_steps(console, prefix, f"extract --sae {document['name']} --dataset D")


def quality(metrics: Document) -> list[tuple[str, Any]]:
    """FVU, L0, dead features and CE loss recovered, those that are known."""
    pairs: list[tuple[str, Any]] = []
    if metrics.get("fvu") is not None:
        explained = f"{percent(1 - metrics['fvu'])} of the variance (FVU {number(metrics['fvu'], 3)})"
        pairs.append(("explains", explained))
    if metrics.get("l0") is not None:
        pairs.append(("L0", f"{number(metrics['l0'], 1)} active features per token"))
    if metrics.get("dead") is not None:
        of = f" of {count(metrics['d_sae'])}" if metrics.get("d_sae") else ""
        pairs.append(("dead", f"{count(metrics['dead'])}{of} features"))
    if metrics.get("ce_recovered") is not None:
        pairs.append(("CE loss", f"{percent(metrics['ce_recovered'])} recovered"))
    return pairs


def removed(document: Document, console: Console, prefix: str) -> None:
    console.print(Text.assemble(("✓ ", "green"), f"removed {document['removed']} ", (clean(document["name"]), "bold")))


def exported(document: Document, console: Console, prefix: str) -> None:
    where = clean(document.get("file") or document.get("folder"))
    what = f"{count(document['features'])} features to " if "features" in document else ""
    console.print(Text.assemble(("✓ ", "green"), "wrote ", what, (where, "bold")), soft_wrap=True)


def _empty(console: Console, rows: Sequence[Any], prefix: str, message: str, step: str) -> bool:
    if not rows:
        quiet(console, message)
        next_steps(console, prefix, step)
    return not rows
