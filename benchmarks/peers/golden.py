"""Write tests/golden/peers: a tiny model, SAE and text, and what each tool found there.

    python golden.py

tests/oracles/test_peers_golden.py compares ours with it, without the tools. Environments are made if need be.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from environments import TOOLS, python_of
from prepare import prepare
from safetensors.torch import load_file, save_file

import saescope

HERE = Path(__file__).resolve().parent
GOLDEN = HERE.parents[1] / "tests" / "golden" / "peers"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        write_tiny_work(work)
        for tool in TOOLS:
            subprocess.run([python_of(tool), HERE / TOOLS[tool].script, work, "--found"], check=True)
        keep(work)


def write_tiny_work(work: Path) -> None:
    """A llama of three layers, an SAE of 128 features, 32 samples of 64 tokens."""
    sys.path.insert(0, str(HERE.parents[1] / "tests"))
    from support.tiny import LINES, save_tiny_model

    save_tiny_model(work / "original", "llama")
    path = work / "original" / "model.safetensors"
    save_file({name: tensor.half() for name, tensor in load_file(path).items()}, path, {"format": "pt"})
    words = np.array(" ".join(LINES).split())
    random = np.random.default_rng(0)
    (work / "text.txt").write_text(" ".join(random.choice(words, 4000)))
    with saescope.open(work / "home") as studio:
        studio.run(saescope.AddModel(name="tiny", source=str(work / "original")))
        studio.run(saescope.AddDataset(name="words", source=str(work / "text.txt")))
        sizes = {"layer": 1, "samples": 32, "context": 64, "d_sae": 128, "k": 8, "features": 24}
        prepare(work, studio, ("tiny", "words"), kind="topk", **sizes)


def keep(work: Path) -> None:
    """Copy what the test needs."""
    shutil.rmtree(GOLDEN, ignore_errors=True)
    shutil.copytree(work / "model", GOLDEN / "model")
    shutil.copytree(work / "saelens", GOLDEN / "saelens")
    for name in ("setting.json", "tokens.npy", *(f"found-{tool}.npz" for tool in TOOLS)):
        shutil.copy(work / name, GOLDEN / name)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
