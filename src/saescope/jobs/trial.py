"""What a run tries out before it begins: does each SAE fit, how many samples to reduce at once, what else will it cost?

A few samples are read and encoded; everything else is tried on their activations, with states that are thrown away
and files that go with a temporary folder.
"""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from ..errors import WrongRequest
from ..extraction.groups import ActiveBatch
from ..extraction.plan import Plan, forced, plan, repeated, settle
from ..extraction.probe import probe
from ..extraction.state import ExtractionState, Settings, state_bytes
from ..extraction.sweep import TokenRows, block_samples, check_finite, encode, join, load_block
from ..extraction.tables import example_tables, feature_table
from ..extraction.weights import WeightFacts, weight_facts
from ..home import sync_tree
from ..records import Probe, Progress
from ..sae.base import Sae
from ..store.features import write_extraction
from . import checkpoint
from .memory import free_memory
from .passes import Part, Pass
from .weights import work_out

_SLICE = 1024
"""Features, evenly spread, whose tables are written on trial."""
_SLICE_SAMPLES = 4096
"""Samples at most that fill them, repeated from those read."""
SHARE = 0.5
"""Of the memory that is free once the state is full, what a batch may take."""


@dataclass
class Seen:
    """A few blocks, read and encoded."""

    batches: list[ActiveBatch]
    """For each SAE."""
    positions: int = 0
    """Tokens read, valid or not, padding left out."""
    cells: int = 0
    """Rows × width: what the model's time goes by."""
    tokens: int = 0
    """Valid tokens: what the encoder's time goes by."""
    model: float = 0.0
    """Seconds."""
    encode: float = 0.0
    """Seconds, of all SAEs."""


@dataclass(frozen=True)
class Tried:
    """What was found: seconds and bytes of a whole run, except for the pass through model and encoder."""

    plan: Plan
    tokens_per_position: float
    active_per_token: tuple[float, ...]
    """L0 of each SAE on what was read."""
    state: int
    """Bytes of the states when all their rows are there."""
    full: float
    """Share of those rows that will be there at the end."""
    save: float
    """Seconds for saving the states once."""
    weights: float
    write: float
    examples: int
    disk: int
    """Bytes of the tables, and of the weights' facts where they are not kept yet."""


def try_out(job: Pass, seen: Seen, remembered: int | None = None) -> Tried:
    """Choose the batch size and find what the run costs beside the pass itself, on the activations seen.

    `remembered` is the size that an earlier try of the same run ended with.
    """
    device = job.context.device
    settings = [job.settings(part) for part in job.parts]
    weights = sum(_weights_seconds(job, part) for part in job.parts)
    state = sum(state_bytes(each).total for each in settings)
    free = max(0, free_memory(device) - state)
    costs = [_Costs.of_a_slice(job, *each) for each in zip(job.parts, settings, seen.batches, strict=True)]
    return Tried(
        plan=_planned(job, seen, settings, remembered, int(free * SHARE)),
        tokens_per_position=seen.tokens / max(seen.positions, 1),
        active_per_token=tuple(len(batch.value) / max(seen.tokens, 1) for batch in seen.batches),
        state=state,
        full=sum(cost.examples for cost in costs) / sum(map(_most_examples, settings)),
        save=sum(cost.save for cost in costs),
        weights=weights,
        write=sum(cost.write for cost in costs),
        examples=sum(cost.examples for cost in costs),
        disk=sum(cost.disk for cost in costs) + sum(_facts_bytes(job, part) for part in job.parts),
    )


def _planned(job: Pass, seen: Seen, settings: list[Settings], remembered: int | None, room: int) -> Plan:
    asked, device = job.spec.vectorization_batch_size, job.context.device
    if asked != "auto":
        return forced(int(asked), "as asked", seen.batches, settings, device)
    if remembered:
        return forced(remembered, "as it was when the run stopped", seen.batches, settings, device)
    return plan(seen.batches, settings, device, room, job.stop)


def read_blocks(job: Pass, blocks: Sequence[slice]) -> Seen:
    """Read and encode some blocks, each step on the clock."""
    several = []
    for done, block in enumerate(blocks):
        job.context.tell(Progress("measuring", done, len(blocks), "blocks"))
        several.append(_read(job, block)[0])
    job.context.tell(Progress("measuring", len(blocks), len(blocks), "blocks"))
    total = Seen([join(list(batches)) for batches in zip(*(seen.batches for seen in several), strict=True)])
    for seen in several:
        for name in ("positions", "cells", "tokens", "model", "encode"):
            setattr(total, name, getattr(total, name) + getattr(seen, name))
    return total


@torch.inference_mode()
def check_fit(job: Pass) -> tuple[list[Probe], Seen]:
    """FVU and L0 of each SAE on the first samples; stops when one explains less than nothing, unless forced."""
    first = slice(0, min(block_samples(job.spec.context) // 2 or 1, job.rows.samples))
    seen, inputs = _read(job, first)
    return [_fit(job, part, x, _wanted(job, part, first)) for part, x in zip(job.parts, inputs, strict=True)], seen


def _wanted(job: Pass, part: Part, block: slice) -> torch.Tensor | None:
    """What a transcoder should write for the tokens of a block; None for an SAE, which should write what it reads."""
    if not part.sae.cfg.transcoder:
        return None
    ids, valid, _ = load_block(job.rows, block, job.spec.include_special, job.model.device)
    leaving = part.sae.cfg.hookpoint_out
    return job.model.read(ids, [leaving])[leaving][valid].float()


def _read(job: Pass, block: slice) -> tuple[Seen, list[torch.Tensor]]:
    """One block, read and encoded, and the activations [tokens d_in] that each SAE was given."""
    ids, valid, lengths = load_block(job.rows, block, job.spec.include_special, job.model.device)
    clock = time.perf_counter()
    activations = job.model.read(ids, job.hookpoints)
    settle(job.model.device)
    read = time.perf_counter()
    inputs = [activations[part.hookpoint][valid].float() for part in job.parts]
    for part, x in zip(job.parts, inputs, strict=True):
        check_finite(x, activations[part.hookpoint], valid, block, part.hookpoint)
    batches = [encode(part.sae, x, valid, lengths, block) for part, x in zip(job.parts, inputs, strict=True)]
    settle(job.model.device)
    done = time.perf_counter()
    counts = int(lengths.sum()), ids.numel(), int(valid.sum())
    return Seen(batches, *counts, model=read - clock, encode=done - read), inputs


def _fit(job: Pass, part: Part, x: torch.Tensor, y: torch.Tensor | None) -> Probe:
    if not len(x):
        return Probe(0.0, 0.0, 0.0, 0)
    measured = probe(part.sae, x, y)
    if measured.fvu >= 1.0:
        found = f"(fraction of variance unexplained {measured.fvu:.2f}, L0 {measured.l0:.0f})"
        line = f"SAE {part.record.name!r} explains less than nothing of {part.hookpoint} {found}"
        if not job.spec.force:
            hint = "a wrong layer, a missing normalisation or another model? --force goes on anyway"
            raise WrongRequest(line, hint)
        job.context.notify(f"{line}; forced to go on")
    return measured


def _weights_seconds(job: Pass, part: Part) -> float:
    """What the facts of an SAE's weights will take: nothing where they are kept, else by the second tile of them."""
    if _facts_bytes(job, part) == 0:
        return 0.0
    began = clock = time.perf_counter()
    before = 0
    for tile, (done, facts) in enumerate(work_out(part.sae, job.model)):
        now = time.perf_counter()
        if tile == 1 and facts is None:
            return now - began + (now - clock) * (part.sae.d_sae - done) / max(done - before, 1)
        clock, before = now, done
    return time.perf_counter() - began


def _facts_bytes(job: Pass, part: Part) -> int:
    """What those facts take on the disk; 0 where they are kept already."""
    if job.context.home.artifact("facts", part.record.id).is_dir():
        return 0
    few = _facts(part.sae, _stride(part.sae.d_sae)).arrays().values()
    return sum(array.nbytes // max(len(array), 1) for array in few) * part.sae.d_sae


def _facts(sae: Sae, stride: int) -> WeightFacts:
    """Facts of every stride-th feature, quickly: as wide as the real ones, their tokens being features."""
    decoder = sae.W_dec[::stride].detach()
    *_, (_, facts) = weight_facts(decoder, decoder)
    assert facts is not None
    return facts


# ---- a slice of the features, written on trial ----


@dataclass(frozen=True)
class _Costs:
    """What saving and writing one SAE's state take."""

    save: float
    write: float
    examples: int
    disk: int

    @classmethod
    def of_a_slice(cls, job: Pass, part: Part, settings: Settings, batch: ActiveBatch) -> "_Costs":
        """Fill a slice of the features as the whole run will, save it and write it; the rest will cost the same."""
        stride = _stride(settings.d_sae)
        state, rows = _filled(job, settings, batch, stride)
        facts = _facts(part.sae, stride)
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder) / "tables"
            place.mkdir()
            clock = time.perf_counter()
            examples = list(example_tables(state, rows, job.spec.include_special))
            write_extraction(place, feature_table(state, facts), examples)
            sync_tree(place)
            written = time.perf_counter()
            checkpoint.save_states(Path(folder), [state])
            saved = time.perf_counter()
            disk = sum(file.stat().st_size for file in place.rglob("*") if file.is_file())
        scale = settings.d_sae / state.settings.d_sae
        count = int(scale * sum(table.num_rows for table in examples))
        return cls(scale * (saved - written), scale * (written - clock), count, int(scale * disk))


def _stride(d_sae: int) -> int:
    return max(1, d_sae // _SLICE)


def _filled(job: Pass, settings: Settings, batch: ActiveBatch, stride: int) -> tuple[ExtractionState, "_Again"]:
    """A state of every stride-th feature after as many samples as the run has, and rows for those samples.

    No two activations are quite alike: equal ones would pack better than real ones do.
    """
    own = batch.feature % stride == 0
    columns = {name: getattr(batch, name)[own] for name in ("sample", "position", "value")}
    few = replace(batch, **columns, feature=torch.div(batch.feature[own], stride, rounding_mode="floor"))
    state = ExtractionState(replace(settings, d_sae=-(-settings.d_sae // stride)), job.context.device)
    samples = min(job.stop, _SLICE_SAMPLES)
    step = len(few) * max(1, 256 // len(few))
    chance = torch.Generator().manual_seed(0)
    for start in range(0, samples, step):
        some = repeated(few, min(step, samples - start))
        unlike = 1 + 0.01 * torch.rand(len(some.value), generator=chance).to(some.value.device)
        state.update(replace(some, samples=some.samples + start, value=some.value * unlike))
    return state, _Again(job.rows, batch.samples.cpu().numpy(), samples, job.spec.include_special)


class _Again:
    """Some rows of a token store, again and again; the tokens turned further each time, so that they pack as text."""

    def __init__(self, rows: TokenRows, samples: np.ndarray, total: int, include_special: bool) -> None:
        again, which = np.divmod(np.arange(total), len(samples))
        self.samples, self.context = total, rows.context
        place = (np.arange(rows.context) + again[:, None]) % rows.context
        self.tokens = np.take_along_axis(np.asarray(rows.tokens[samples])[which], place, axis=1)
        self.lengths = np.asarray(rows.lengths[samples])[which]
        valid = [rows.valid(slice(i, i + 1), include_special=include_special) for i in samples.tolist()]
        self._valid = np.concatenate(valid)[which]

    def valid(self, rows: slice, *, include_special: bool = False) -> np.ndarray:
        return self._valid[rows]


def _most_examples(settings: Settings) -> int:
    return settings.d_sae * (settings.top_k + settings.sampled + settings.silent)
