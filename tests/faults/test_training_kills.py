"""A training process that is killed or told to end, for real, and what another makes of what it left."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import saescope
from saescope.sae import read_sae
from saescope.store import catalogue
from saescope.store.metrics import LINES, metrics
from saescope.studio import Studio
from support.tiny import save_tiny_model

FLAGS = [
    "--model", "tiny", "--dataset", "text", "--hookpoint", "layers.1.resid_post", "--d-sae", "64", "--k", "4",
    "--context", "16", "--batch", "64", "--tokens", str(64 * 4000), "--checkpoint-every", "100",
    "--metrics-every", "20", "--buffer", "512", "--cache", "float32",
]  # fmt: skip


def command(home: Path, name: str, *more: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    words = [sys.executable, "-m", "saescope", "train", *FLAGS, "--name", name, "--home", str(home), "--json", *more]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def steps_made(home: Path) -> int:
    """Of the run under way, as its rows of metrics say."""
    lines = [line for file in (home / "work").glob(f"train-*/{LINES}") for line in file.read_text().splitlines()]
    return max((json.loads(line)["step"] for line in lines if line.endswith("}")), default=0)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with text, a tiny model, and an SAE `whole` trained in a process of its own that nothing disturbed."""
    folder = tmp_path_factory.mktemp("kills")
    line = '{"text": "The people of the United States work in peace, and the Senate trades with every nation."}\n'
    (folder / "text.jsonl").write_text(line * 300)
    with saescope.open(folder / "home") as studio:
        studio.run(saescope.AddDataset(name="text", source=str(folder / "text.jsonl")))
        studio.run(saescope.AddModel(name="tiny", source=str(save_tiny_model(folder / "model"))))
    process = command(folder / "home", "whole")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, out + err
    return folder / "home"


def equal_to_whole(home: Path, name: str) -> None:
    with Studio(saescope.studio.Home(home)) as studio:
        folders = [studio.home.artifact("saes", catalogue.sae(studio.db, each).id) for each in ("whole", name)]
        whole, other = (read_sae(folder) for folder in folders)
        for key, tensor in whole.weights.items():
            assert torch.equal(tensor, other.weights[key]), key
        tables = [metrics(folder).drop_columns(["tokens_per_second"]) for folder in folders]
        assert tables[0].equals(tables[1])
    assert not list((home / "work").iterdir())


def until(home: Path, process: subprocess.Popen[str], steps: int) -> None:
    """Wait until a run has made so many steps."""
    for _ in range(4000):
        if steps_made(home) >= steps or process.poll() is not None:
            return
        time.sleep(0.01)


@pytest.mark.parametrize("steps", [1, 500, 1700, 3990])
def test_a_killed_training_goes_on_to_the_same_bits(home: Path, steps: int) -> None:
    process = command(home, f"killed-{steps}")
    until(home, process, steps)
    process.kill()
    process.communicate()
    again = command(home, f"killed-{steps}")
    out, err = again.communicate(timeout=120)
    if again.returncode == 2:  # it had ended before the kill
        assert "name_taken" in out
    else:
        assert again.returncode == 0, out + err
    equal_to_whole(home, f"killed-{steps}")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_training_told_to_end_checkpoints_says_how_to_go_on_and_goes_on(
    home: Path, number: signal.Signals, code: int
) -> None:
    name = f"told-{number.name.lower()}"
    process = command(home, name)
    until(home, process, 300)
    process.send_signal(number)
    out, _ = process.communicate(timeout=10)
    assert process.returncode == code
    assert json.loads(out)["error"]["kind"] == "interrupted"
    assert "--resume" in out
    again = command(home, name, "--resume")
    out, err = again.communicate(timeout=120)
    assert again.returncode == 0, out + err
    assert json.loads(out)["steps"] == 4000
    equal_to_whole(home, name)
