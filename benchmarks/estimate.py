"""How far off an extraction's estimates are: three settings, each estimated, then run.

    python benchmarks/estimate.py [--home DIR] [--json FILE]

Every estimate and every run is a process of its own, as on the command line, so that both load the model. Two
figures are given for each setting: `extract --estimate` against the run that follows, and the run against the
estimate it made of itself from its first blocks. The SAE of the demo is used where the home has it; the others have
random weights, which decide nothing about speed but which features fire. To be run on a machine that does nothing else.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

import saescope
from saescope.jobs import demo
from saescope.jobs.bench_extract import random_sae
from saescope.sae import save_sae

MODEL, DATASET, DEMO_SAE = demo.MODEL, demo.HELD_BACK_TEXT, demo.SAE
HOOKPOINT = "layers.12.resid_post"
SETTINGS = (
    {"sae": DEMO_SAE, "kind": "topk", "d_sae": 4096, "samples": 256, "context": 128},
    {"sae": "random-topk-16k", "kind": "topk", "d_sae": 16_384, "samples": 512, "context": 128},
    {"sae": "random-jumprelu-32k", "kind": "jumprelu", "d_sae": 32_768, "samples": 256, "context": 64},
)


def add_missing(home: str) -> None:
    """Add the model, the text and the SAEs that the home does not have."""
    with saescope.open(home) as studio:
        demo.bring(studio)
        _, model = studio.context.model(MODEL)
        text = next(each for each in studio.datasets() if each.name == DATASET)
        rows = studio.context.tokens(text, model, 128)
        there = {record.name for record in studio.saes()}
        x = model.read(torch.from_numpy(rows.tokens[:8].astype("int64")), [HOOKPOINT])[HOOKPOINT][:, 1:].flatten(0, 1)
        for each in SETTINGS:
            if each["sae"] in there:
                continue
            with tempfile.TemporaryDirectory() as folder:
                save_sae(random_sae(each["kind"], each["d_sae"], x, seed=0), Path(folder))
                studio.run(saescope.AddSae(name=each["sae"], source=folder, model=MODEL, hookpoint=HOOKPOINT))


def extract(home: str, each: dict, *more: str) -> dict:
    """What `saescope extract` answers."""
    words = ["--home", home, "extract", "--sae", each["sae"], "--dataset", DATASET, "--force", "--json"]
    sizes = ["--samples", str(each["samples"]), "--context", str(each["context"])]
    done = subprocess.run([sys.executable, "-m", "saescope", *words, *sizes, *more], stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def disk(home: str, name: str) -> int:
    """Bytes of an extraction's files."""
    with saescope.open(home) as studio:
        record = next(each for each in studio.extractions() if each.name == name)
        folder = studio.home.artifact("extractions", record.id)
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def compared(home: str, each: dict) -> dict:
    """One setting: estimated, run, and by how much they differ (actual / estimate - 1)."""
    before = extract(home, each, "--estimate")["estimate"]
    run = extract(home, each)
    wrote = disk(home, run["extraction"])
    with saescope.open(home) as studio:
        studio.remove("extraction", run["extraction"])
    return {
        **each,
        "seconds": {"estimate": before["seconds"], "of itself": run["estimate"]["seconds"], "actual": run["seconds"]},
        "off_by": {
            "estimate": run["seconds"] / before["seconds"] - 1,
            "of itself": run["estimate"]["off_by"],
            "memory": run["peak_memory_bytes"] / before["peak_memory_bytes"] - 1,
            "disk": wrote / before["disk_bytes"] - 1,
        },
        "phases": {"estimate": before["phases"], "of itself": run["estimate"]["phases"], "actual": run["phases"]},
        "vectorization_batch_size": run["vectorization_batch_size"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", help="a home to work in; a temporary one where none is given")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = arguments.home or folder
        add_missing(home)
        extract(home, {**SETTINGS[0], "samples": 8}, "--estimate")  # loops are compiled once for a machine
        found = [compared(home, each) for each in SETTINGS]
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1))
    for each in found:
        seconds = ", ".join(f"{name} {value:.1f} s" for name, value in each["seconds"].items())
        off = ", ".join(f"{name} {value:+.0%}" for name, value in each["off_by"].items())
        print(f"{each['sae']}, {each['samples']} samples of {each['context']}: {seconds}; off by: {off}")


if __name__ == "__main__":
    main()
