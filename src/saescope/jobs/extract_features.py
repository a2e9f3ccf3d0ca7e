"""`extract`: one pass over a dataset, every feature of one or several SAEs of one model."""

import time
from dataclasses import dataclass, field, replace
from typing import Any

from .. import faults
from ..errors import NameTaken
from ..extraction.state import ExtractionState
from ..extraction.sweep import Reader, blocks, flush, sweep
from ..extraction.tables import example_tables, feature_table
from ..extraction.weights import WeightFacts
from ..home import new_id
from ..records import Extraction, Progress
from ..specs import ExtractFeatures
from ..store import catalogue
from ..store.features import write_extraction
from ..store.jobs import already_made
from ..version import VERSION
from . import checkpoint, gpus
from .clock import now
from .context import Context
from .estimate import Estimate, Rates, cells, estimate, predict
from .memory import resident_memory
from .passes import Part, Pass, free_name, prepare, save_interval
from .peak import peak_memory
from .trial import Tried, check_fit, try_out
from .weights import facts_of

_FIRST_BLOCKS = 4
"""Blocks of a run, at most, after which it estimates itself: a quarter of it where it is short."""


@dataclass
class _Swept:
    """A pass that has been made: one state for each SAE."""

    states: list[ExtractionState]
    tokens_before: int
    """Tokens of an earlier try of the same run."""
    batch_size: int
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(("model", "encode", "reduce", "save"), 0.0))
    estimate: Estimate | None = None


def run(spec: ExtractFeatures, context: Context) -> dict[str, Any]:
    """Extract; the extraction is listed when its tables are whole. A killed run goes on from its last save.

    With `estimate` or `estimate_for` nothing is extracted, and the answer says what it would take.
    """
    named = gpus.named(spec.estimate_for)
    before = _made_before(spec, context)
    if before:
        left = tuple(name for name in dict.fromkeys(spec.saes) if name not in before)
        rest = run(spec.model_copy(update={"saes": left}), context) if left else {"extractions": []}
        return {"extractions": [*before.values(), *(rest.get("extractions") or [rest])]}
    job = prepare(spec, context)
    if spec.estimate or spec.estimate_for:
        return estimate(job, named)
    with context.owning(job.work_name):
        return _carry_out(job)


def _made_before(spec: ExtractFeatures, context: Context) -> dict[str, dict[str, Any]]:
    """By SAE, the extractions that an earlier try of this job has listed already, where it makes several."""
    listed = [each for each in catalogue.extractions(context.db) if each.sae in spec.saes]
    found = [each for each in listed if already_made(context.db, "extraction", each.name)]
    return {each.sae: {"extraction": each.name, **each.to_json()} for each in found}


def _carry_out(job: Pass) -> dict[str, Any]:
    seconds = {"prepare": job.elapsed}
    probes, seen = check_fit(job)
    for part, probe in zip(job.parts, probes, strict=True):
        part.probe = probe
    tried = try_out(job, seen, checkpoint.saved_batch_size(job.context.work_folder(job.work_name)))
    job.context.notify(f"vectorization batch size {tried.plan.size}: {tried.plan.why}")
    seconds["probe"] = job.elapsed - seconds["prepare"]
    swept = _sweep(job, tried, seconds)
    faults.point("extract.swept")
    seconds |= {**swept.seconds, "weights": 0.0, "write": 0.0}
    records = []
    for part, state in zip(job.parts, swept.states, strict=True):
        clock = time.perf_counter()
        facts = facts_of(part.record, part.sae, job.model, job.context)
        seconds["weights"] += time.perf_counter() - clock
        clock = time.perf_counter()
        records.append(_write(job, part, state, facts))
        seconds["write"] += time.perf_counter() - clock
    job.context.clear_work(job.work_name)
    shown = _shown(job, swept, records, seconds)
    return shown[0] if len(shown) == 1 else {"extractions": shown}


def _shown(job: Pass, swept: _Swept, records: list[Extraction], seconds: dict[str, float]) -> list[dict[str, Any]]:
    """The document of each extraction; time and memory are those of the whole pass."""
    total, peak = job.elapsed, peak_memory()
    return [
        {
            "extraction": record.name,
            "sae": part.record.name,
            "samples": state.samples,
            "tokens": state.tokens,
            "features": part.sae.d_sae,
            "dead": int((state.statistics.columns["active_tokens"] == 0).sum()),
            "l0": float(state.statistics.columns["active_tokens"].sum()) / max(state.tokens, 1),
            "seconds": total,
            "tokens_per_second": (state.tokens - swept.tokens_before) / max(total, 1e-9),
            "phases": seconds,
            "peak_memory_bytes": peak,
            "vectorization_batch_size": swept.batch_size,
            "probe": part.probe.to_json() if part.probe else None,
            "estimate": swept.estimate.compared(total, peak) if swept.estimate else None,
        }
        for record, state, part in zip(records, swept.states, job.parts, strict=True)
    ]


def _sweep(job: Pass, tried: Tried, before: dict[str, float]) -> _Swept:
    """The pass itself, saved from time to time; estimated from its first blocks."""
    context, stop = job.context, job.stop
    work = context.work_folder(job.work_name)
    done = _begin(job, tried.plan.size)
    readers = [Reader(part.sae, part.hookpoint, state) for part, state in zip(job.parts, done.states, strict=True)]
    start = done.states[0].samples
    first = _first_blocks(job, start)
    saved, cost = time.perf_counter(), 0.0
    context.tell(Progress("extracting", start, stop, "samples"))
    passes = sweep(
        job.model.read,
        readers,
        job.rows,
        start=start,
        stop=stop,
        batch_size=tried.plan.size,
        include_special=job.spec.include_special,
        device=job.model.device,
    )
    for number, swept in enumerate(passes, 1):
        faults.point("extract.block")
        at = start + swept.samples
        done.seconds |= swept.seconds
        if number == first:
            model = swept.seconds["model"] / max(cells(job.rows, start, at), 1)
            rates = Rates(model, swept.seconds["encode"] / max(swept.tokens, 1))
            done.estimate = predict(job, tried, rates, resident_memory(), before, start)
            context.notify(done.estimate.line())
        context.tell(Progress("extracting", at, stop, "samples", f"{done.tokens_before + swept.tokens:,} tokens"))
        clock = time.perf_counter()
        if at < stop and (clock - saved > save_interval(cost) or context.stop.is_set()):
            swept.batch_size = flush(readers, swept.batch_size)
            context.saving()
            checkpoint.save_states(work, done.states, swept.batch_size)
            saved = time.perf_counter()
            cost = saved - clock
            done.seconds["save"] += cost
            context.kept()
            context.check_stop()
        done.batch_size = swept.batch_size
    return done


def _begin(job: Pass, batch_size: int) -> _Swept:
    """The states of the last save, or empty ones."""
    settings = [job.settings(part) for part in job.parts]
    device, work = job.context.device, job.context.work_folder(job.work_name)
    states = checkpoint.load_states(work, settings, str(device))
    if states and states[0].samples:
        job.context.notify(f"going on from sample {states[0].samples:,} of {job.stop:,}")
    states = states or checkpoint.new_states(work.parent, settings, str(device))
    return _Swept(states, states[0].tokens, batch_size)


def _first_blocks(job: Pass, start: int) -> int:
    """After how many blocks a run estimates itself."""
    total = len(list(blocks(job.spec.context, start, job.stop)))
    return max(1, min(_FIRST_BLOCKS, total // 4))


def _write(job: Pass, part: Part, state: ExtractionState, facts: WeightFacts) -> Extraction:
    """Tables into the home, then the row into the catalogue."""
    spec, context, model, dataset = job.spec, job.context, job.model_record, job.dataset
    context.tell(Progress("writing", 0, None, "features", part.name))
    id = new_id()
    with context.publishing("extractions", id):
        with context.home.making("extractions", id) as folder:
            examples = example_tables(state, job.rows, spec.include_special)
            write_extraction(folder, feature_table(state, facts), examples)
        record = Extraction(
            id=id,
            name=part.name,
            sae=part.record.name,
            model=model.name,
            dataset=dataset.name,
            hookpoint=part.hookpoint,
            samples=state.samples,
            tokens=state.tokens,
            features=part.sae.d_sae,
            context=spec.context,
            top_k=spec.top_k,
            spec=spec.model_dump(mode="json"),
            provenance={
                "model": model.fingerprint,
                "tokenizer": model.tokenizer_fingerprint,
                "sae": part.record.fingerprint,
                "dataset": dataset.fingerprint,
                "tokens": job.rows.fingerprint,
                "code": VERSION,
                "probe": part.probe.to_json() if part.probe else None,
            },
            created=now(),
        )
        return _listed(record, spec, context)


def _listed(record: Extraction, spec: ExtractFeatures, context: Context) -> Extraction:
    """The record as it is listed: a name that nobody chose makes way for one taken during the pass."""
    while True:
        try:
            catalogue.add_extraction(context.db, record)
        except NameTaken:
            if spec.name is not None:
                raise
            record = replace(record, name=free_name(f"{record.sae}-on-{record.dataset}", context))
        else:
            return record
