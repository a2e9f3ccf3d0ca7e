"""`bench extract`: an extraction against its floor, and against the two ways the project began with.

Floor: the model's forward pass up to the hookpoint by plain transformers and torch, plus one encoder matrix product for
each SAE (`bench_floor.py`). Own floor: the same products behind this project's own forward pass, which is the quicker
one. Floor and extraction take turns, block by block, on the same tokens, so that a machine's moods fall on both. The
SAEs' weights are random: they decide nothing about speed but which features fire.

The two loops are timed on a few samples, behind the same forward, and their cost is taken to grow with the samples.
"""

import os
import platform
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ..data.token_store import TokenStore
from ..errors import BadValue
from ..extraction.state import ExtractionState, Settings
from ..extraction.sweep import Reader, block_samples, blocks, sweep
from ..models.language_model import LanguageModel
from ..records import Progress
from ..sae import KINDS, Sae, SaeConfig
from ..specs import BenchExtract
from ..store import catalogue
from ..version import VERSION
from . import demo
from .bench_floor import Floor, floor_of, now
from .bench_loops import SequentialLoop, VectorizedSketch
from .context import Context
from .peak import peak_memory

_K = 32
_THRESHOLD_L0 = 50
_RELU_L0 = 300
"""Features that fire on a token, for the kinds without a k."""
_BLOCKS = 4
"""A cell is repeated until this many blocks have been timed."""
_DENSE_CELLS = 1 << 28
"""Cells of the dense tensor that the loops are given: 1 GiB."""
_LOOP_SAMPLES = {"sketch": 32, "sequential": 2}


@dataclass(frozen=True)
class _Setting:
    """What every cell of the table shares."""

    spec: BenchExtract
    floor: Floor
    model: LanguageModel
    rows: TokenStore
    x: Float[Tensor, "n d_in"]
    """Some activations, to set thresholds by."""


@dataclass
class _Seconds:
    """One round of one cell."""

    forward: float = 0.0
    matmul: float = 0.0
    ours: float = 0.0
    phases: dict[str, float] = field(default_factory=dict)

    @property
    def floor(self) -> float:
        return self.forward + self.matmul

    @property
    def own_floor(self) -> float:
        return self.phases["model"] + self.matmul


def run(spec: BenchExtract, studio: demo.Studio, context: Context) -> dict[str, Any]:
    """Time every cell: kinds × widths × samples, and the loops once for each width."""
    if spec.model is None or spec.dataset is None:
        demo.bring(studio)
    record, model = context.model(spec.model or demo.MODEL)
    rows = context.tokens(catalogue.dataset(context.db, spec.dataset or demo.HELD_BACK_TEXT), model, spec.context)
    if max(spec.samples) > rows.samples:
        raise BadValue(
            f"samples: {max(spec.samples):,} are more than the {rows.samples:,} rows of the dataset",
            "ask for fewer, or give a larger --dataset",
        )
    hookpoint = model.hookpoint(spec.hookpoint)
    options = {
        "source": str(context.home.root / record.path) if record.path else record.source,
        "dtype": record.dtype,
        "quantize": record.quantize,
    }
    with floor_of(options, hookpoint, torch.get_num_threads()) as floor, torch.inference_mode():
        block = slice(0, min(block_samples(spec.context), rows.samples))
        x = model.read(_ids(rows, block), [hookpoint])[hookpoint][:, 1:].flatten(0, 1).float()
        setting = _Setting(spec.model_copy(update={"hookpoint": hookpoint}), floor, model, rows, x)
        _warm_up(setting)
        measured, loops = _measure(setting, context)
    return {
        "machine": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
            "system": platform.platform(),
        },
        "versions": {"saescope": VERSION, "python": platform.python_version(), "torch": torch.__version__},
        "model": spec.model or demo.MODEL,
        "dataset": spec.dataset or demo.HELD_BACK_TEXT,
        "hookpoint": hookpoint,
        "context": spec.context,
        "top_k": spec.top_k,
        "cells": measured,
        "loops": loops,
        "peak_memory_bytes": peak_memory(),
    }


def _measure(setting: _Setting, context: Context) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Every cell; and, for the first kind, the loops at each width."""
    spec = setting.spec
    cells: list[dict[str, Any]] = []
    loops: list[dict[str, Any]] = []
    total = len(spec.kinds) * len(spec.d_sae) * len(spec.samples)
    for kind in spec.kinds:
        for d_sae in spec.d_sae:
            saes = [random_sae(kind, d_sae, setting.x, seed) for seed in range(spec.saes)]
            setting.floor.encoders([sae.W_enc.detach() for sae in saes])
            for samples in spec.samples:
                context.tell(Progress("timing", len(cells), total, "cells", f"{kind} {d_sae:,} × {samples}"))
                cells.append(_cell(setting, saes, samples))
            if spec.loops and kind == spec.kinds[0]:
                loops.append(_loops(setting, saes[0], cells[-1]))
    return cells, loops


def random_sae(kind: str, d_sae: int, x: Float[Tensor, "n d_in"], seed: int) -> Sae:
    """An SAE whose features fire about as often as trained ones: L0 32 for topk, 50 by threshold, 300 for relu."""
    generator = torch.Generator().manual_seed(seed)
    d_in = x.shape[1]
    decoder = torch.nn.functional.normalize(torch.randn(d_sae, d_in, generator=generator), dim=1).to(x.device)
    weights = {
        "W_enc": decoder.T.contiguous(),
        "b_enc": torch.zeros(d_sae, device=x.device),
        "W_dec": decoder,
        "b_dec": x.mean(0),
    }
    if kind != "topk":
        few = x[:: max(1, len(x) // 128)]
        pre = (few - weights["b_dec"]) @ weights["W_enc"]
        active = _RELU_L0 if kind == "relu" else _THRESHOLD_L0
        edge = pre.topk(min(active + 1, d_sae), dim=1).values[:, -1].median()
        weights["b_enc"] -= edge if kind == "relu" else 0.0
        weights["threshold"] = torch.full((d_sae,), float(edge), device=x.device)
    cfg = SaeConfig(kind=kind, d_in=d_in, d_sae=d_sae, k=_K if kind == "topk" else None)
    return KINDS[kind](cfg, {name: weights[name] for name in KINDS[kind].shapes(cfg)}).pack()


def _warm_up(setting: _Setting) -> None:
    """Compile loops and fill caches before anything is timed."""
    for kind in setting.spec.kinds:
        sae = random_sae(kind, 1024, setting.x, 0)
        setting.floor.encoders([sae.W_enc.detach()])
        _round(setting, [sae], len(setting.x) // setting.spec.context or 1)


def _cell(setting: _Setting, saes: list[Sae], samples: int) -> dict[str, Any]:
    """One line of the table: the median of as many rounds as make the blocks enough."""
    spec = setting.spec
    in_one_round = len(list(blocks(spec.context, 0, samples)))
    rounds = [_round(setting, saes, samples) for _ in range(max(1, -(-_BLOCKS // in_one_round)))]
    tokens = samples * spec.context
    middle = sorted(rounds, key=lambda each: each.ours / each.floor)[len(rounds) // 2]
    stage = middle.phases["encode"] + middle.phases["reduce"]
    return {
        "kind": saes[0].kind,
        "d_sae": saes[0].d_sae,
        "saes": len(saes),
        "samples": samples,
        "tokens": tokens,
        "rounds": len(rounds),
        "seconds": {
            "forward": middle.forward,
            "matmul": middle.matmul,
            "floor": middle.floor,
            "ours": middle.ours,
            **{f"ours_{name}": seconds for name, seconds in middle.phases.items()},
        },
        "tokens_per_second": {
            "forward": tokens / middle.forward,
            "matmul": tokens / middle.matmul,
            "floor": tokens / middle.floor,
            "ours": tokens / middle.ours,
            "ours_stage": tokens / stage,
        },
        "ours_over_floor": middle.ours / middle.floor,
        "ours_over_own_floor": middle.ours / middle.own_floor,
        "all_rounds": [each.ours / each.floor for each in rounds],
        "stage_over_matmul": middle.matmul / stage,
    }


def _round(setting: _Setting, saes: list[Sae], samples: int) -> _Seconds:
    """One extraction, block by block, and between its blocks the floor on the same tokens."""
    spec, rows = setting.spec, setting.rows
    settings = [Settings(sae.d_sae, spec.top_k, first=1) for sae in saes]
    readers = [
        Reader(sae, spec.hookpoint, ExtractionState(each, setting.model.device))
        for sae, each in zip(saes, settings, strict=True)
    ]
    passes = sweep(setting.model.read, readers, rows, stop=samples, batch_size=64, device=setting.model.device)
    found = _Seconds()
    for number, block in enumerate(blocks(spec.context, 0, samples)):
        for ours in (True, False) if number % 2 else (False, True):
            if ours:
                clock = now()
                found.phases = dict(next(passes).seconds)
                found.ours += now() - clock
            else:
                forward, matmul = setting.floor.time(_ids(rows, block))
                found.forward += forward
                found.matmul += matmul
    return found


def _loops(setting: _Setting, sae: Sae, beside: dict[str, Any]) -> dict[str, Any]:
    """Seconds per sample of the two loops, forward and dense encoding included."""
    spec = setting.spec
    forward = beside["seconds"]["forward"] / beside["samples"]
    found: dict[str, Any] = {"kind": sae.kind, "d_sae": sae.d_sae}
    ours = beside["seconds"]["ours"] / beside["samples"]
    for name, loop in (
        ("sketch", VectorizedSketch(sae.d_sae, spec.top_k)),
        ("sequential", SequentialLoop(sae.d_sae, spec.top_k)),
    ):
        batch = max(1, min(_LOOP_SAMPLES[name], _DENSE_CELLS // (spec.context * sae.d_sae)))
        samples = min(_LOOP_SAMPLES[name], setting.rows.samples)
        x = setting.model.read(_ids(setting.rows, slice(0, samples)), [spec.hookpoint])[spec.hookpoint].float()
        took = []
        for start in range(0, samples, batch):
            part = x[start : start + batch]
            clock = now()
            dense = sae.encode(part)
            dense[:, 0] = 0
            loop.take(torch.arange(start, start + len(part)), dense.cpu())
            took.append((now() - clock) / len(part))
        each = forward + statistics.median(took)
        found[name] = {
            "measured_samples": samples,
            "seconds_per_sample": each,
            "tokens_per_second": spec.context / each,
            "over_ours": each / ours,
        }
    return found


def _ids(rows: TokenStore, block: slice) -> Tensor:
    return torch.from_numpy(rows.tokens[block].astype("int64"))


def _processor() -> str:
    """The processor's own name, where the system says it."""
    lines: Iterator[str] = iter(())
    if Path("/proc/cpuinfo").exists():
        lines = iter(Path("/proc/cpuinfo").read_text().splitlines())
    named = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return named or platform.processor() or platform.machine()
