"""What an extraction will take: measured on this machine on a few blocks, and worked out for GPUs.

`extract --estimate` reads blocks from all over the text and stops there. A run makes the same estimate of itself
from its first blocks, and says at its end how far off that was.
"""

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..extraction.plan import SIZES, Plan, best, try_sizes
from ..extraction.sweep import TokenRows, blocks
from ..records import Record
from . import passes
from .gpus import Gpu, on_gpu, task
from .memory import free_memory, resident_memory
from .passes import Pass
from .peak import peak_memory
from .trial import SHARE, Seen, Tried, check_fit, read_blocks, try_out

_SPREAD = 4
"""Blocks read for an estimate, evenly spread over the text, after a first one that warms up."""
_WRITE_COPIES = 8.5
"""Times that the rows of a state are held besides, in other orders and types, while its tables are made."""
_WRITE_BYTES = 450 << 20
"""What that takes at most: the tables are a stream, of which a few are in memory at once."""


@dataclass(frozen=True)
class Rates:
    """What the pass itself takes, in seconds."""

    model: float
    """For one cell: a position of a block as it is given to the model."""
    encode: float
    """For one valid token, all SAEs together."""


@dataclass(frozen=True)
class Estimate(Record):
    """Time, memory and disk of one run on this machine."""

    seconds: float
    phases: dict[str, float]
    """Seconds by the names that a finished run uses; their sum is `seconds`."""
    peak_memory_bytes: int
    disk_bytes: int
    """What stays in the home."""
    work_bytes: int
    """What is in the home besides while it runs: the saved state and its successor."""
    samples: int
    tokens: int
    """Valid tokens."""
    examples: int
    vectorization_batch_size: int
    why: str
    """Why that size."""

    def line(self) -> str:
        """The estimate in one line."""
        memory, disk = (f"{each / 2**30:.2f} GiB" for each in (self.peak_memory_bytes, self.disk_bytes))
        return f"estimate: {self.seconds:,.0f} s in all, {memory} of memory at its peak, {disk} of disk"

    def compared(self, seconds: float, peak: int) -> dict[str, Any]:
        """How far off it was: off_by is actual / estimate - 1, so 0.1 means that it took a tenth longer."""
        return {
            "seconds": self.seconds,
            "actual_seconds": seconds,
            "off_by": seconds / max(self.seconds, 1e-9) - 1,
            "phases": self.phases,
            "peak_memory_bytes": self.peak_memory_bytes,
            "peak_memory_off_by": peak / max(self.peak_memory_bytes, 1) - 1,
            "disk_bytes": self.disk_bytes,
        }


def estimate(job: Pass, gpus: list[Gpu]) -> dict[str, Any]:
    """The document of `extract --estimate`: nothing is extracted, nothing kept."""
    clock = time.perf_counter()
    probes, _ = check_fit(job)
    fitted = time.perf_counter()
    seen = read_blocks(job, _spread(job))
    resident = resident_memory()
    trying = time.perf_counter()
    tried = try_out(job, seen)
    probed = (fitted - clock) + (time.perf_counter() - trying)
    rates = Rates(seen.model / max(seen.cells, 1), seen.encode / max(seen.tokens, 1))
    made = predict(job, tried, rates, resident, {"prepare": job.loading, "probe": probed})
    host = sum(made.phases[name] for name in ("prepare", "save", "write"))
    sizes = _sizes(job, seen, tried, rates, resident, made)
    work = task(job, made.samples, made.tokens, cells(job.rows, 0, job.stop), tried, host)
    free = {
        "memory_free_bytes": free_memory(job.context.device),
        "disk_free_bytes": shutil.disk_usage(job.context.home.root).free,
    }
    return {
        "estimate": {**made.to_json(), **free, "device": str(job.context.device)},
        "saes": [
            {"sae": part.record.name, "features": part.sae.d_sae, "probe": probe.to_json()}
            for part, probe in zip(job.parts, probes, strict=True)
        ],
        "batch_sizes": sizes,
        "gpus": [on_gpu(work, gpu) for gpu in gpus],
    }


def predict(
    job: Pass, tried: Tried, rates: Rates, resident: int, before: Mapping[str, float], start: int = 0
) -> Estimate:
    """Time, memory and disk of a run that goes on at sample `start`.

    `resident`: bytes held after whole blocks, without the state; `before`: seconds that it has already taken.
    """
    lengths = job.rows.lengths[start : job.stop]
    tokens = int(np.asarray(lengths).sum(dtype=np.int64) * tried.tokens_per_position)
    swept = {
        "model": rates.model * cells(job.rows, start, job.stop),
        "encode": rates.encode * tokens,
        "reduce": tried.plan.seconds * (job.stop - start),
    }
    saves = int(sum(swept.values()) / passes.save_interval(tried.save))
    phases = {**before, **swept, "save": saves * tried.save, "weights": tried.weights, "write": tried.write}
    return Estimate(
        seconds=sum(phases.values()),
        phases=phases,
        peak_memory_bytes=max(peak_memory(), resident + tried.state + working_bytes(tried, tried.plan.bytes)),
        disk_bytes=tried.disk,
        work_bytes=2 * tried.state if saves else 0,
        samples=job.stop - start,
        tokens=tokens,
        examples=tried.examples,
        vectorization_batch_size=tried.plan.size,
        why=tried.plan.why,
    )


def cells(rows: TokenRows, start: int, stop: int) -> int:
    """Positions that the model is given for samples start to stop: every block is as wide as its longest row."""
    if start >= stop:
        return 0
    edges = np.array([block.start for block in blocks(rows.context, start, stop)])
    widths = np.maximum.reduceat(np.asarray(rows.lengths[start:stop], dtype=np.int64), edges - start)
    return int((widths * np.diff(edges, append=stop)).sum())


def _sizes(job: Pass, seen: Seen, tried: Tried, rates: Rates, resident: int, made: Estimate) -> list[dict[str, Any]]:
    """The run's seconds and memory with each batch size that fits; `auto` marks what auto would choose."""
    settings = [job.settings(part) for part in job.parts]
    known = {trial.size: trial for trial in tried.plan.trials}
    sizes = sorted({min(size, job.stop) for size in (1, *SIZES)})
    missing = [size for size in sizes if size not in known]
    room = int(max(0, free_memory(job.context.device) - tried.state) * SHARE)
    known |= {trial.size: trial for trial in try_sizes(seen.batches, settings, job.context.device, missing, room)}
    trials = [known[size] for size in sorted(known)]
    offered = [trial for trial in trials if trial.size > 1] or trials
    chosen = tried.plan.size if tried.plan.trials else best(offered).size
    rows = []
    for trial in trials:
        predicted = predict(
            job, replace(tried, plan=Plan(trial.size, "", trial.bytes, trial.seconds)), rates, resident, {}
        )
        fixed = made.phases["prepare"] + made.phases["probe"]
        rows.append(
            {
                "size": trial.size,
                "seconds": predicted.seconds + fixed,
                "samples_per_second": 1 / max(trial.seconds, 1e-9),
                "peak_memory_bytes": resident + tried.state + working_bytes(tried, trial.bytes),
                "auto": trial.size == chosen,
            }
        )
    return rows


def working_bytes(tried: Tried, batch: int) -> int:
    """Bytes in use beside the state: a batch, or the tables while they are made."""
    return max(batch, min(_WRITE_BYTES, int(_WRITE_COPIES * tried.state * tried.full)))


def _spread(job: Pass) -> list[slice]:
    """Whole blocks from all over the samples of a run; all of them where they are few."""
    every = list(blocks(job.spec.context, 0, job.stop))
    n = min(_SPREAD, len(every))
    return [every[(2 * i + 1) * len(every) // (2 * n)] for i in range(n)]
