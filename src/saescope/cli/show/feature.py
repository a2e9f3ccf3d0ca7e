"""One feature: its figures, its activations, its examples in one column, what it writes, its neighbours."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from . import tokens as token_runs
from .features import clarity
from .parts import (
    AMBER,
    FILL,
    QUIET,
    STRONG,
    flow,
    heading,
    label_of,
    label_text,
    next_steps,
    quiet,
    table,
)
from .words import clean, count, day, number, percent, plural, score

Document = Mapping[str, Any]

STRATA = {
    "top": "strongest examples",
    "q4": "fourth quarter of its activations (strongest)",
    "q3": "third quarter",
    "q2": "second quarter",
    "q1": "first quarter (weakest)",
    "none": "samples where it is silent",
}


def feature(
    document: Document,
    console: Console,
    prefix: str,
    strata: Sequence[str] = ("top",),
    limit: int = 10,
    extraction: str = "",
) -> None:
    dead = bool(document.get("dead"))
    header(document, console)
    console.print()
    if not dead:
        _histogram(document, console)
    for stratum in strata:
        rows = [each for each in document.get("examples", []) if each["stratum"] == stratum]
        heading(console, STRATA.get(stratum, stratum), f"{min(limit, len(rows))} of {len(rows)}" if rows else "")
        if rows:
            examples(rows[:limit], document.get("max") or 0.0, console)
        else:
            quiet(console, "a dead feature has no example" if dead else "none kept")
    _writes(document, console)
    _neighbors(document, console)
    index = document["index"]
    of = extraction or document.get("extraction")
    if of and not dead:
        sae = document.get("sae") or "S"
        more = [] if len(strata) > 1 else [f"features show {of} {index} --stratum all"]
        next_steps(
            console,
            prefix,
            *more,
            f'steer --sae {sae} --prompt "…" --edit {index}:add:1',
        )


def header(document: Document, console: Console) -> None:
    """Index and label, who wrote it, then the figures."""
    dead = bool(document.get("dead"))
    label = label_text(label_of(document), dead)
    console.print(Text.assemble((f"{document['index']}", STRONG), "  ", label), overflow="fold")
    for written in (document.get("labels") or [])[:1]:
        by = clean(written.get("source") or "")
        by += f" · {clean(written['model'])}" if written.get("model") else ""
        by += f" · {day(written['created'])}" if written.get("created") else ""
        quiet(console, f"labelled by {by}")
        for name, value in (written.get("scores") or {}).items():
            quiet(console, f"{clean(name)} {score(value.get('value'))} from {count(value.get('n'))} examples")
    figures = [
        ("density", percent(document.get("density"))),
        ("max", number(document.get("max"))),
        ("clarity", score(clarity(document)) if clarity(document) is not None else ""),
        ("mean", number(document.get("mean"))),
        (
            "active",
            f"{count(document.get('active_tokens'))} tokens, {count(document.get('active_samples'))} samples",
        ),
    ]
    flow(
        console,
        [(name, value) for name, value in figures if value and not (dead and name in ("max", "mean"))],
    )


def examples(rows: Sequence[Document], maximum: float, console: Console) -> None:
    """One example per line, peaks in one column; the activation at the left, the sample at the right."""
    shades = token_runs.scale(console)
    values = [number(row.get("activation"), 2) for row in rows]
    places = [str(row["sample"]) for row in rows]
    first, last = max(map(len, values)), max(map(len, places))
    width = max(20, min(console.width, 160) - first - last - 4)
    for row, value, place in zip(rows, values, places, strict=True):
        text = token_runs.example(row, maximum, shades, width)
        text.pad_right(width - text.cell_len)
        console.print(
            Text.assemble((f"{value:>{first}}", QUIET), "  ", text, "  ", (f"{place:>{last}}", QUIET)),
            no_wrap=True,
            overflow="crop",
        )


def _histogram(document: Document, console: Console) -> None:
    histogram = document.get("histogram") or {}
    counts, edges = list(histogram.get("counts") or []), list(histogram.get("edges") or [])
    full = [place for place, value in enumerate(counts) if value]
    if not full:
        return
    low, high = full[0], full[-1] + 1
    counts = counts[low:high]
    step = math.ceil(len(counts) / max(10, min(60, console.width - 40)))
    bars = token_runs.sparkline([sum(counts[at : at + step]) for at in range(0, len(counts), step)], log=True)
    ends = ("", "")
    if len(edges) > high:
        ends = (f"{_edge(edges[low])} ", f" {_edge(min(edges[high], document.get('max') or edges[high]))}")
    console.print(
        Text.assemble(("activations  ", QUIET), ends[0], (bars, AMBER), ends[1], ("  both axes logarithmic", QUIET))
    )


def _edge(value: float) -> str:
    return f"{value:.3g}"


def _writes(document: Document, console: Console) -> None:
    """Tokens whose logit the feature raises and lowers most; a line breaks only between two of them."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    for key, name in (("writes_most", "writes most"), ("writes_least", "writes least")):
        lines = [Text()]
        for row in (document.get(key) or [])[:8]:
            part = Text.assemble(f"‘{clean(row['token'])}’", (f" {row['logit']:+.2f}", QUIET))
            if lines[-1].plain and lines[-1].cell_len + 3 + part.cell_len > console.width - 16:
                lines.append(Text())
            lines[-1] = lines[-1].append("   " if lines[-1].plain else "").append_text(part)
        if lines[0].plain:
            grid.add_row(Text(name, style=QUIET), Text("\n").join(lines))
    if grid.row_count:
        console.print()
        console.print(grid)


def _neighbors(document: Document, console: Console) -> None:
    rows = document.get("neighbors") or []
    if not rows:
        return
    heading(console, "nearest features", "by decoder cosine")
    made = table(">index", ("label", FILL), ">cosine")
    for row in rows[:5]:
        made.add_row(Text(str(row["index"]), style=STRONG), label_text(label_of(row)), number(row["cosine"], 2))
    console.print(made)


def fire(document: Document, console: Console, prefix: str, extraction: str = "") -> None:
    """The text shaded by its strongest features, the strongest of each token, and the ranking."""
    words, rows = document["tokens"], document["features"]
    if not rows:
        quiet(console, "no feature fires on this text")
        return
    shades = token_runs.scale(console)
    tops = [max(row["activations"], default=0.0) for row in rows]
    best = [max(range(len(rows)), key=lambda n, at=at: rows[n]["activations"][at]) for at in range(len(words))]
    strongest = max(tops)
    values = [rows[n]["activations"][at] for at, n in enumerate(best)]
    console.print(_broken(token_runs.run(words, values, strongest, shades)), overflow="fold")

    heading(console, "strongest feature of each token")
    made = table(("token", {"max_width": 20, "overflow": "ellipsis"}), ">index", ("label", FILL), ">activation")
    for at, (word, n) in enumerate(zip(words, best, strict=True)):
        value, row = values[at], rows[n]
        cell = token_runs.run([word], [value], strongest, shades, peak=0 if value == tops[n] and value > 0 else None)
        if value > 0:
            made.add_row(cell, Text(str(row["index"]), style=STRONG), label_text(label_of(row)), number(value))
        else:
            made.add_row(cell, "", "", "")
    console.print(made)

    heading(console, "ranking", plural(len(rows), "feature"))
    lane = min(len(words), 40 if console.width >= 110 else 16)
    made = table(">index", ("label", FILL), ">activation", "peak token", ("along the text", {"width": max(14, lane)}))
    for row, top in zip(rows, tops, strict=True):
        peak = clean(words[row["activations"].index(top)]).strip(" ") if top > 0 else ""
        made.add_row(
            Text(str(row["index"]), style=STRONG),
            label_text(label_of(row)),
            number(top),
            token_runs.cut_end(Text(peak), 12),
            Text(token_runs.sparkline(_binned(row["activations"], lane)), style=AMBER),
        )
    console.print(made)
    if extraction:
        next_steps(console, prefix, f"features show {extraction} {rows[0]['index']}")


def _broken(text: Text) -> Text:
    text.no_wrap = False
    text.end = "\n"
    return text


def _binned(values: Sequence[float], width: int) -> list[float]:
    """The largest value of each of `width` stretches."""
    if len(values) <= width:
        return list(values)
    return [max(values[n * len(values) // width : (n + 1) * len(values) // width]) for n in range(width)]
