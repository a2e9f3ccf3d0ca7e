"""What a finished training, extraction or labelling says."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from .parts import AMBER, FILL, facts, heading, label_text, next_steps, quiet, table, title
from .things import quality
from .words import clean, count, duration, number, percent, plural, size

Document = Mapping[str, Any]


def train(document: Document, console: Console, prefix: str, dataset: str = "D") -> None:
    """One SAE, or several trained on one stream."""
    several = document.get("saes") or [document]
    for place, each in enumerate(several):
        if place:
            console.print()
        _trained(each, console)
    named = " ".join(f"--sae {each['sae']}" for each in several)
    next_steps(console, prefix, f"extract {named} --dataset {dataset}")


def _trained(document: Document, console: Console) -> None:
    title(console, document["sae"], f"trained in {duration(document.get('seconds'))}")
    pairs: list[tuple[str, Any]] = [
        ("read", f"{count(document.get('tokens'))} tokens in {count(document.get('steps'))} steps"),
        ("speed", f"{count(document.get('tokens_per_second'))} tokens/s"),
    ]
    facts(console, pairs + quality(document))


def extract(document: Document, console: Console, prefix: str) -> None:
    """One extraction, or several made in one pass."""
    several = document.get("extractions") or [document]
    for place, each in enumerate(several):
        if place:
            console.print()
        _extraction(each, console)
    name = several[0]["extraction"]
    next_steps(
        console,
        prefix,
        f"label {name}",
        f"features list {name} --sort density --order desc",
        f"features show {name} 0",
    )


def _extraction(document: Document, console: Console) -> None:
    seconds, tokens = document.get("seconds"), document.get("tokens")
    title(
        console,
        document["extraction"],
        f"{count(document.get('features'))} features",
        f"{count(document.get('samples'))} samples",
        f"{count(tokens)} tokens",
    )
    console.print()
    phases(console, document.get("phases") or {}, seconds, tokens, document.get("tokens_per_second"))
    console.print()
    probe = document.get("probe") or {}
    pairs = [(f"probe {name}", value) for name, value in quality(probe)]
    if document.get("peak_memory_bytes") is not None:
        pairs.append(("peak memory", size(document["peak_memory_bytes"])))
    if document.get("vectorization_batch_size") is not None:
        pairs.append(("batch size", f"{document['vectorization_batch_size']} samples reduced at once"))
    if document.get("dead") is not None:
        pairs.append(("dead", f"{count(document['dead'])} features"))
    if document.get("estimate"):
        guess = document["estimate"]
        pairs.append(("estimate", f"{duration(guess['seconds'])}; the run took {_off(guess['off_by'])}"))
    facts(console, pairs)


def _off(share: float) -> str:
    """How far a run was off its estimate."""
    return f"{100 * abs(share):.0f} % {'longer' if share > 0 else 'less'}"


def estimate(document: Document, console: Console, prefix: str) -> None:
    """What an extraction would take here, and on GPUs."""
    here = document["estimate"]
    names = [each["sae"] for each in document["saes"]]
    title(console, ", ".join(names), f"{count(here['samples'])} samples", f"{count(here['tokens'])} tokens")
    console.print()
    phases(console, here["phases"], here["seconds"], here["tokens"])
    console.print()
    batch = f"{here['vectorization_batch_size']} samples reduced at once"
    pairs: list[tuple[str, Any]] = [
        ("time", duration(here["seconds"])),
        ("peak memory", f"{size(here['peak_memory_bytes'])}; {size(here['memory_free_bytes'])} are free"),
        ("disk", f"{size(here['disk_bytes'])}; {size(here['disk_free_bytes'])} are free"),
        ("batch size", batch),
    ]
    if here["work_bytes"]:
        pairs.insert(3, ("while it runs", f"{size(here['work_bytes'])} of disk more, for the saved state"))
    facts(console, pairs)
    quiet(console, "measured here on a few blocks; nothing was extracted")
    if document["gpus"]:
        heading(console, "on a GPU", "arithmetic from data sheets, not measured")
        made = table("GPU", ">time", ">peak memory", ">of", "fits", "model in")
        for each in document["gpus"]:
            room = size(each["memory_bytes"])
            fits = "yes" if each["fits"] else "no"
            peak = size(each["peak_memory_bytes"])
            made.add_row(Text(each["name"], style="bold"), duration(each["seconds"]), peak, room, fits, each["dtype"])
        console.print(made)


def train_estimate(document: Document, console: Console, prefix: str, dataset: str) -> None:
    """What a training would take here."""
    here = document["estimate"]
    title(console, "training", f"{count(here['steps'])} steps", f"{count(here['tokens'])} activations of {dataset}")
    console.print()
    phases(console, here["phases"], here["seconds"], here["tokens"])
    console.print()
    made = table("kind", "hookpoint", ">features", ">weights", ">a step", ">tokens/s")
    for each in document["saes"]:
        made.add_row(
            Text(each["kind"], style="bold"),
            Text(clean(each["hookpoint"])),
            count(each["d_sae"]),
            size(each["weights_bytes"]),
            f"{1000 * each['seconds_per_step']:,.0f} ms",
            count(each["tokens_per_second"]),
        )
    console.print(made)
    console.print()
    read = f"{count(here['tokens_read'])} activations, the text {here['epochs']:.2f} times"
    facts(
        console,
        [
            ("time", duration(here["seconds"])),
            ("peak memory", f"{size(here['peak_memory_bytes'])}; {size(here['memory_free_bytes'])} are free"),
            ("disk", f"{size(here['disk_bytes'])}; {size(here['disk_free_bytes'])} are free"),
            ("while it runs", f"{size(here['work_bytes'])} of disk more, for checkpoints"),
            ("model reads", read),
        ],
    )
    quiet(console, "measured here on a few blocks and steps; nothing was trained")


def phases(
    console: Console, parts: Document, seconds: float | None, tokens: float | None, speed: float | None = None
) -> None:
    """Each phase with its seconds and its share of the whole."""
    whole = seconds or sum(parts.values()) or 1.0
    made = table("phase", ">seconds", ">share", "")
    for name, value in parts.items():
        bar = "█" * round(24 * min(1.0, value / whole))
        made.add_row(
            Text(clean(name).replace("_", " ")),
            number(value, 1),
            f"{100 * value / whole:.0f} %",
            Text(bar, style=AMBER),
        )
    rate = f"{count(speed or tokens / whole)} tokens/s" if tokens else ""
    made.add_row(Text("in all", style="bold"), number(whole, 1), "", Text(rate))
    console.print(made)


def stages(console: Console, rows: Sequence[Document]) -> None:
    """The stages of the demo: time and tokens per second."""
    whole = sum(row.get("seconds") or 0.0 for row in rows) or 1.0
    made = table("stage", ">time", ">share", "", ">tokens/s")
    for row in rows:
        value = row.get("seconds") or 0.0
        kept = Text("already in the home", style="dim")
        bar = kept if row.get("kept") else Text("█" * round(24 * value / whole), style=AMBER)
        made.add_row(
            Text(clean(row["name"])),
            duration(row.get("seconds")),
            f"{100 * value / whole:.0f} %",
            bar,
            count(row.get("tokens_per_second")),
        )
    made.add_row(Text("in all", style="bold"), duration(whole), "", "", "")
    console.print(made)


def label(document: Document, console: Console, prefix: str) -> None:
    name = document["extraction"]
    title(
        console,
        name,
        f"{plural(document['labelled'], 'feature')} labelled in {duration(document.get('seconds'))}",
    )
    if document.get("median_clarity") is not None:
        clarity = f"median clarity {number(document['median_clarity'])}"
        quiet(console, f"{clarity} (the share of a feature's examples that its label covers)")
    asked = document.get("llm")
    if asked:
        spent = f"{count(asked['tokens_in'])} tokens in, {count(asked['tokens_out'])} out{_money(asked)}"
        quiet(console, f"{plural(asked['calls'], 'call')} to {clean(asked['model'])}, {asked['cached']} known; {spent}")
    if document.get("failed"):
        quiet(console, f"{plural(document['failed'], 'feature')} without a label: the answer failed, and is kept")
    if document.get("stopped"):
        quiet(console, f"{clean(document['stopped'])}; {plural(document['left'], 'feature')} left")
    rows = document.get("examples_of_labels") or []
    if rows:
        heading(console, "the clearest of them")
        figures = {"density": percent, "max": lambda value: number(value, 1), "clarity": number}
        rows = [row | {name: score["value"] for name, score in (row.get("scores") or {}).items()} for row in rows]
        figures |= {"detection": number, "fuzzing": number}
        known = {name: show for name, show in figures.items() if rows[0].get(name) is not None}
        made = table(">index", ("label", FILL), *(f">{name}" for name in known))
        for row in rows:
            values = (show(row.get(name)) for name, show in known.items())
            made.add_row(Text(str(row["index"]), style="bold"), label_text(row["label"]), *values)
        console.print(made)
    next_steps(
        console,
        prefix,
        f"features list {name} --sort clarity --order desc",
        f"features list {name} --search WORDS",
    )


def label_estimate(document: Document, console: Console, prefix: str) -> None:
    """What labelling by an LLM would ask and cost."""
    title(console, document["extraction"], plural(document["features"], "feature"), clean(document["model"]))
    most = document["at_most"]
    calls = f"{count(document['calls'])}, {number(document['calls_per_feature'], 1)} for a feature"
    pairs = [
        ("calls", calls),
        ("tokens in", f"about {count(document['tokens_in'])}; {count(most['tokens_in'])} at the most"),
        ("tokens out", f"about {count(document['tokens_out'])}; {count(most['tokens_out'])} at the most"),
    ]
    if document["cost"] is not None:
        pairs.append(("money", f"about {number(document['cost'])}; {number(most['cost'])} at the most"))
    if document["fits"] is not None:
        pairs.append(
            ("budget", f"{clean(document['budget'])}: {'enough' if document['fits'] else 'not enough for all'}")
        )
    facts(console, pairs)
    quiet(console, "without failures and second tries; nothing was asked")


def _money(document: Document) -> str:
    return "" if document["cost"] is None else f", {number(document['cost'])} spent"
