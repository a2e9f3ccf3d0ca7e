"""The extraction against its floor, on the demo's model and text: every kind and width, as tables, JSON and a plot.

    python benchmarks/extraction.py [--home DIR] [--quick]

It asks for the same as `saescope bench extract` with several sets of options, prints each table, and writes
benchmarks/results/extraction.json and docs/extraction-speed.svg. About a quarter of an hour on two cores; --quick
times 16,384 features alone and writes nothing.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from rich.console import Console

import saescope
from saescope.cli.show.bench import extract as show
from saescope.specs import BenchExtract

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "extraction.json"
PLOT = HERE.parent / "docs" / "extraction-speed.svg"
WIDTHS = (4096, 16_384, 65_536, 131_072)
QUICK = {"kinds at 16,384 features": BenchExtract(d_sae=(16_384,), samples=(128,), kinds=("topk", "jumprelu"))}
RUNS = {
    "topk, every width": BenchExtract(d_sae=WIDTHS, samples=(32, 128)),
    "sixteen times the samples": BenchExtract(d_sae=(4096, 16_384), samples=(32, 512), loops=False),
    "other kinds": BenchExtract(d_sae=(16_384,), samples=(128,), kinds=("batchtopk", "jumprelu", "relu"), loops=False),
    "other kinds, 131,072 features": BenchExtract(
        d_sae=(131_072,), samples=(64,), kinds=("batchtopk", "jumprelu"), loops=False
    ),
    "five SAEs in one pass": BenchExtract(d_sae=(16_384,), samples=(128,), saes=5, loops=False),
}


def plot(documents: dict[str, Any]) -> None:
    """Tokens a second at each width: the floor, ours, and the ways the project began with."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "saescope"
    from matplotlib import pyplot

    document = documents["topk, every width"]
    cells = [cell for cell in document["cells"] if cell["samples"] == 128]
    loops = document["loops"]
    width = [cell["d_sae"] for cell in cells]
    lines = (
        ("extraction", [cell["tokens_per_second"]["ours"] for cell in cells], "#b45309", "-", "o"),
        (
            "floor: plain forward + one product",
            [cell["tokens_per_second"]["floor"] for cell in cells],
            "#555",
            "--",
            "",
        ),
        ("dense vectorization", [each["sketch"]["tokens_per_second"] for each in loops], "#2563eb", "-", "s"),
        ("loop over features", [each["sequential"]["tokens_per_second"] for each in loops], "#7c3aed", "-", "^"),
    )
    figure, axes = pyplot.subplots(figsize=(7, 4))
    for name, speeds, colour, style, marker in lines:
        axes.plot(width, speeds, style, color=colour, marker=marker, label=name)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(width, [f"{each:,}" for each in width])
    axes.set_xlabel("features")
    axes.set_ylabel("tokens a second")
    axes.grid(alpha=0.25)
    axes.legend(frameon=False)
    machine = document["machine"]
    axes.set_title(f"{document['model']}, {document['hookpoint']}, {machine['processor']}, {machine['cores']} cores")
    figure.savefig(PLOT, bbox_inches="tight", metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home")
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    console, documents = Console(width=None), {}
    with saescope.open(arguments.home) as studio:
        for name, spec in (QUICK if arguments.quick else RUNS).items():
            console.rule(name)
            documents[name] = studio.bench_extract(spec)
            show(documents[name], console, "saescope")
    if not arguments.quick:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(documents, indent=1) + "\n")
        plot(documents)


if __name__ == "__main__":
    main()
