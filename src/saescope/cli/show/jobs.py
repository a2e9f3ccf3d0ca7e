"""Jobs, in a terminal."""

import time
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from .words import clean, count, duration

Document = Mapping[str, Any]

_SIGNS = {"running": "▷", "queued": "…", "succeeded": "✓", "failed": "△", "cancelled": "✕"}
_STYLES = {"running": "bold", "failed": "red", "cancelled": "dim", "queued": "dim", "succeeded": ""}


def listed(document: Document, console: Console, prefix: str) -> None:
    if not document["jobs"]:
        console.print("nothing has run here")
        return
    rows = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("job", "", "what", "of", "how far", "took"):
        rows.add_column(name, style=None, header_style="dim")
    for job in document["jobs"]:
        rows.add_row(
            job["id"],
            _state(job),
            job["verb"].replace("_", " "),
            clean(job["name"])[:40],
            _how_far(job),
            _took(job),
        )
    console.print(rows)


def one(document: Document, console: Console, prefix: str) -> None:
    console.print(
        Text.assemble((document["id"], "bold"), "  ", document["verb"].replace("_", " "), "  ", clean(document["name"]))
    )
    console.print(
        _state(document),
        _how_far(document),
        _took(document),
    )
    if document.get("error"):
        console.print(Text(clean(f"{document['error']['message']} — {document['error']['hint']}"), style="red"))
    for row in document.get("metrics") or ():
        console.print(_measured(row))
    for line in document.get("lines") or ():
        console.print(Text(clean(line["text"]), style="dim"))
    if document["state"] in ("failed", "cancelled"):
        console.print(f"\n{prefix} jobs resume {document['id']}", style="dim")


def pruned(document: Document, console: Console, prefix: str) -> None:
    console.print(f"{count(document['removed'])} jobs removed")


def _state(job: Document) -> Text:
    """How it stands; a queued job that has an error has met a full disk, and waits for room."""
    said = "waiting for room" if job["state"] == "queued" and job.get("error") else job["state"]
    return Text(f"{_SIGNS[job['state']]} {said}", style=_STYLES[job["state"]])


def _measured(row: Document) -> str:
    figures = [f"step {count(row['step'])}"]
    for name in ("loss", "fvu", "l0", "dead", "ce_recovered"):
        if row[name] is not None:
            figures.append(f"{name} {count(row[name]) if name == 'dead' else f'{row[name]:.4g}'}")
    return "  ".join(figures)


def _how_far(job: Document) -> str:
    progress = job.get("progress")
    if not progress or job["state"] not in ("running", "queued", "cancelled", "failed"):
        return ""
    of = f" of {count(progress['total'])}" if progress.get("total") else ""
    left = (
        f", {duration(progress['seconds_left'])} left"
        if progress.get("seconds_left") and job["state"] == "running"
        else ""
    )
    return f"{progress['phase']} {count(progress['done'])}{of} {progress['unit']}{left}"


def _took(job: Document) -> str:
    if not job.get("started"):
        return ""
    return duration((job.get("ended") or time.time()) - job["started"])
