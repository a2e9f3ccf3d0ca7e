"""What a training will take: measured on this machine on a few blocks and a few steps.

`train --estimate` reads blocks from all over the text, takes some steps with every SAE, writes a little to the disk,
and stops there: nothing is kept.
"""

import os
import shutil
import statistics
import tempfile
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from ..records import Record
from ..specs import TrainSae
from ..training import Trainer
from .context import Context
from .memory import free_memory, resident_memory
from .reading import Reading

_BLOCKS = 3
"""Blocks of rows read, evenly spread over the text, after a first one that warms up."""
_STEPS = 4
"""Steps taken with every SAE, of which the first does not count: it finds the first weights."""
_WRITTEN = 64 << 20
"""Bytes written to see how fast the disk is."""
_SPLICES = 2
"""Passes of the whole model, in passes to the deepest hookpoint, that a row costs when the SAE is spliced in."""


@dataclass(frozen=True)
class Measured:
    """What a run is made of, in seconds."""

    token: float
    """The model, for one activation."""
    steps: tuple[float, ...]
    """One step of each SAE."""
    byte: float
    """One byte to the disk, synced."""


@dataclass(frozen=True)
class Planned:
    """How often each happens."""

    steps: int
    read: int
    """Activations that the model is run for."""
    measured: int
    """Activations that each SAE is measured on at its end."""
    saves: int


@dataclass(frozen=True)
class Estimate(Record):
    """Time, memory and disk of one training on this machine."""

    seconds: float
    phases: dict[str, float]
    """Seconds of model, training, measuring and save; their sum is `seconds`."""
    peak_memory_bytes: int
    disk_bytes: int
    """What stays in the home."""
    work_bytes: int
    """What is in the home besides while it runs: two checkpoints of each SAE."""
    steps: int
    tokens: int
    tokens_read: int
    """Activations that the model is run for: fewer where `reuse` draws each of them several times."""
    epochs: float
    """How often the dataset is read."""


def estimate(trainers: list[Trainer], reading: Reading, training: np.ndarray, held_out: int, context: Context) -> Any:
    """The document of `train --estimate`.

    training: rows of the token store to train on; held_out: how many are kept to measure on.
    """
    before = resident_memory()
    x, token = _read(reading, training)
    specs = [trainer.spec for trainer in trainers]
    steps = tuple(_step(trainer, x, reading) for trainer in trainers)
    held = max(resident_memory() - before, 0)
    measured = Measured(token, steps, _write(context))
    spec = specs[0]
    usual = len(x) / max(1, min(len(training), _BLOCKS * _rows(reading)))
    epoch = int(usual * len(training))
    read = min(spec.tokens, -(-spec.tokens // spec.reuse) + min(spec.buffer, epoch))
    total = trainers[0].total_steps
    planned = Planned(total, read, int(usual * held_out), max(1, total // spec.checkpoint_every))
    weights = [_bytes(trainer) for trainer in trainers]
    phases = _phases(planned, measured, weights)
    buffer = min(spec.buffer, len(training) * spec.context) * sum(reading.widths) * 4
    made = Estimate(
        seconds=sum(phases.values()),
        phases=phases,
        peak_memory_bytes=before + max(held, 4 * sum(weights)) + buffer,
        disk_bytes=sum(weights),
        work_bytes=2 * 3 * sum(weights),
        steps=planned.steps,
        tokens=planned.steps * spec.batch,
        tokens_read=planned.read,
        epochs=planned.read / max(epoch, 1),
    )
    free = {
        "memory_free_bytes": free_memory(context.device),
        "disk_free_bytes": shutil.disk_usage(context.home.root).free,
    }
    return {
        "estimate": {**made.to_json(), **free, "device": str(context.device)},
        "saes": [
            {"kind": one.kind, "hookpoint": one.hookpoint, "d_sae": one.d_sae, "weights_bytes": size,
             "seconds_per_step": step, "tokens_per_second": one.batch / step}
            for one, step, size in zip(specs, steps, weights, strict=True)
        ],
    }  # fmt: skip


def _phases(planned: Planned, measured: Measured, weights: list[int]) -> dict[str, float]:
    each = len(measured.steps)
    return {
        "model": planned.read * measured.token,
        "training": planned.steps * sum(measured.steps),
        "measuring": each * planned.measured * measured.token * (1 + _SPLICES),
        "save": (planned.saves * 3 + 1) * sum(weights) * measured.byte,
    }


def _rows(reading: Reading) -> int:
    return max(1, 4096 // reading.rows.context)


def _read(reading: Reading, training: np.ndarray) -> tuple[Tensor, float]:
    """Activations of rows from all over the text, and the seconds that one takes."""
    size = _rows(reading)
    chosen = training[np.linspace(0, len(training) - 1, min(len(training), _BLOCKS * size)).astype(int)]
    quiet = Reading(reading.model, reading.rows, reading.hookpoints, reading.include_special, lambda progress: None)
    quiet.read(chosen[:size])
    clock = time.perf_counter()
    x = quiet.read(chosen)
    return x, (time.perf_counter() - clock) / max(len(x), 1)


def _step(trainer: Trainer, x: Tensor, reading: Reading) -> float:
    """Seconds of one step on a whole batch; the activations are drawn as often as that takes."""
    spec: TrainSae = trainer.spec
    drawn = x[np.resize(np.random.default_rng(0).permutation(len(x)), spec.batch)]
    columns = reading.columns(spec.hookpoint)
    target = reading.columns(spec.hookpoint_out) if spec.hookpoint_out else None
    taken = []
    for _ in range(_STEPS):
        clock = time.perf_counter()
        trainer.step(drawn[:, columns], None if target is None else drawn[:, target])
        taken.append(time.perf_counter() - clock)
    return statistics.median(taken[1:])


def _bytes(trainer: Trainer) -> int:
    """What the weights alone take."""
    tensors, _ = trainer.state()
    return sum(
        tensor.numel() * tensor.element_size()
        for name, tensor in tensors.items()
        if "." not in name and name != "silent"
    )


def _write(context: Context) -> float:
    """Seconds that a byte takes to the home's disk."""
    with tempfile.TemporaryFile(dir=context.home.root / "work") as file:
        clock = time.perf_counter()
        file.write(bytes(_WRITTEN))
        file.flush()
        os.fsync(file.fileno())
        return (time.perf_counter() - clock) / _WRITTEN
