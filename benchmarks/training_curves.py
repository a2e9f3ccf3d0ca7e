"""Train a few kinds on the demo's model and text in one pass, and draw how they learn.

python benchmarks/training_curves.py [--home DIR] [--tokens 131072] [--out docs/training-curves.svg]

The rows of metrics are those any training leaves behind (`store/metrics.py`).
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

import saescope
from saescope.jobs.demo import HOOKPOINT, MODEL, TRAINING_TEXT, bring
from saescope.specs import TrainSae, TrainSaes
from saescope.store.metrics import metrics

KINDS: dict[str, dict[str, Any]] = {
    "topk": {},
    "batchtopk": {},
    "matryoshka": {},
    "jumprelu": {},
    "relu": {"l1": 5.0},
    "gated": {"l1": 5.0},
}
COLOURS = ("#1b6ca8", "#d1495b", "#edae49", "#00798c", "#7b4fa3", "#6a994e")
PANELS = (("loss", "loss", True), ("l0", "L0", True), ("dead", "dead features", False),
          ("ce_recovered", "CE recovered", False))  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home")
    parser.add_argument("--tokens", type=int, default=131_072)
    parser.add_argument("--d-sae", type=int, default=1024)
    parser.add_argument("--out", type=Path, default=Path("docs/training-curves.svg"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, saescope.open(given.home or folder) as studio:
        bring(studio)
        shared = {
            "model": MODEL, "dataset": TRAINING_TEXT, "hookpoint": HOOKPOINT, "tokens": given.tokens, "batch": 1024,
            "d_sae": given.d_sae, "buffer": given.tokens // 2, "reuse": 2, "metrics_every": 4,
            "evaluate_every": max(1, given.tokens // 1024 // 4),
        }  # fmt: skip
        specs = [TrainSae(**shared, kind=kind, name=f"curve-{kind}", **more) for kind, more in KINDS.items()]
        document = studio.run(TrainSaes(saes=tuple(specs)), progress=_told, notify=_said)
        folders = {sae.name: studio.home.artifact("saes", sae.id) for sae in studio.saes()}
        rows = {kind: metrics(folders[f"curve-{kind}"]).to_pydict() for kind in KINDS}
    draw(rows, given.out)
    names = ("sae", "fvu", "l0", "dead", "ce_recovered", "kl", "seconds", "phases")
    print(json.dumps([{name: each[name] for name in names} for each in document["saes"]], indent=1))


def draw(rows: dict[str, dict[str, list[Any]]], path: Path) -> None:
    """Four panels over tokens, one line for each kind."""
    figure, panels = plt.subplots(2, 2, figsize=(9, 6), sharex=True, layout="constrained")
    for panel, (column, title, logarithmic) in zip(panels.flat, PANELS, strict=True):
        for (kind, columns), colour in zip(rows.items(), COLOURS, strict=True):
            points = [
                (tokens / 1000, value)
                for tokens, value in zip(columns["tokens"], columns[column], strict=True)
                if value is not None
            ]
            panel.plot(*zip(*points, strict=True), label=kind, color=colour, linewidth=1.4,
                       marker="o" if column == "ce_recovered" else None, markersize=3)  # fmt: skip
        panel.set_title(title, fontsize=10, loc="left")
        panel.grid(alpha=0.25)
        panel.spines[["top", "right"]].set_visible(False)
        if logarithmic:
            panel.set_yscale("log")
    for panel in panels[1]:
        panel.set_xlabel("thousand tokens")
    panels[0, 0].legend(fontsize=8, frameon=False, ncols=2)
    matplotlib.rcParams["svg.hashsalt"] = "saescope"
    figure.savefig(path, metadata={"Date": None})


def _told(progress: Any) -> None:
    if progress.note:
        print(f"{progress.phase} {progress.done:,.0f} {progress.note}", file=sys.stderr)


def _said(message: str) -> None:
    print(message, file=sys.stderr)


if __name__ == "__main__":
    main()
