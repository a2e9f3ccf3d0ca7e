"""`extract`: one pass over a dataset, every feature of one or several SAEs of one model."""

import json
import time
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import psutil
import torch

from ..data.tokens import TokenStore
from ..errors import Mismatch, NameTaken, WrongRequest
from ..extraction.probe import probe
from ..extraction.state import ExtractionState, Settings
from ..extraction.sweep import Reader, block_samples, flush, sweep
from ..extraction.tables import example_tables, feature_table
from ..extraction.weights import WeightFacts
from ..fingerprint import content_hash
from ..home import new_id
from ..models.language_model import LanguageModel
from ..records import Dataset, Extraction, Model, Probe, Progress, SaeInfo
from ..sae.base import Sae
from ..specs import ExtractFeatures
from ..store import catalogue
from ..store.features import write_extraction
from ..version import VERSION
from . import checkpoint
from .clock import now
from .context import Context
from .peak import peak_memory
from .weights import facts_of

_SAVE_SECONDS = 60.0
"""Time between two saves of the state, at the least; a save may take 2 % of it."""


@dataclass
class _Part:
    """One SAE's share of the pass."""

    record: SaeInfo
    sae: Sae
    hookpoint: str
    name: str
    probe: Probe | None = None


@dataclass(frozen=True)
class _Pass:
    """Everything one pass is about."""

    spec: ExtractFeatures
    context: Context
    dataset: Dataset
    model_record: Model
    model: LanguageModel
    rows: TokenStore
    parts: list[_Part]

    @property
    def stop(self) -> int:
        """Samples to read."""
        return min(self.spec.samples or self.rows.samples, self.rows.samples)

    @cached_property
    def work_name(self) -> str:
        """The name of the saved state: everything that decides the answer, and nothing else."""
        besides = {"vectorization_batch_size", "name", "force", "saes", "dataset"}
        decisive = json.dumps(self.spec.model_dump(exclude=besides, mode="json"), sort_keys=True)
        saes = [each for part in self.parts for each in (part.record.fingerprint, part.hookpoint)]
        key = content_hash(decisive, *saes, self.model.fingerprint, self.dataset.fingerprint, VERSION)
        return f"extract-{key[:32]}"


def run(spec: ExtractFeatures, context: Context) -> dict[str, Any]:
    """Extract; the extraction is listed when its tables are whole. A killed run goes on from its last save."""
    began = time.perf_counter()
    dataset = catalogue.dataset(context.db, spec.dataset)
    parts, model_record, model = _parts(spec, context)
    rows = context.tokens(dataset, model, spec.context, spec.packing)
    job = _Pass(spec, context, dataset, model_record, model, rows, parts)
    with context.owning(job.work_name):
        return _carry_out(job, began)


def _carry_out(job: _Pass, began: float) -> dict[str, Any]:
    prepared = time.perf_counter() - began
    batch_size, why = plan_batch(job.spec, job.parts, job.stop)
    job.context.notify(f"vectorization batch size {batch_size}: {why}")
    for part in job.parts:
        part.probe = _probe(job, part)
    states, swept, tokens_resumed = _sweep(job, batch_size)
    seconds = {"prepare": prepared, **swept, "weights": 0.0, "write": 0.0}
    records = []
    for part, state in zip(job.parts, states, strict=True):
        clock = time.perf_counter()
        facts = facts_of(part.record, part.sae, job.model, job.context)
        seconds["weights"] += time.perf_counter() - clock
        clock = time.perf_counter()
        records.append(_write(job, part, state, facts))
        seconds["write"] += time.perf_counter() - clock
    job.context.clear_work(job.work_name)
    total = time.perf_counter() - began
    shown = [
        {
            "extraction": record.name,
            "sae": part.record.name,
            "samples": state.samples,
            "tokens": state.tokens,
            "features": part.sae.d_sae,
            "dead": int((state.statistics.columns["active_tokens"] == 0).sum()),
            "l0": float(state.statistics.columns["active_tokens"].sum()) / max(state.tokens, 1),
            "seconds": total,
            "tokens_per_second": (state.tokens - tokens_resumed) / max(total, 1e-9),
            "phases": seconds,
            "peak_memory_bytes": peak_memory(),
            "vectorization_batch_size": batch_size,
            "probe": part.probe.to_json() if part.probe else None,
        }
        for record, state, part in zip(records, states, job.parts, strict=True)
    ]
    return shown[0] if len(shown) == 1 else {"extractions": shown}


def _parts(spec: ExtractFeatures, context: Context) -> tuple[list[_Part], Model, LanguageModel]:
    """The SAEs, checked against their one model, and the names their extractions will have."""
    infos = [catalogue.sae(context.db, name) for name in dict.fromkeys(spec.saes)]
    models = sorted({info.model for info in infos})
    if len(models) > 1:
        raise Mismatch(f"the SAEs read different models: {', '.join(models)}", "extract them model by model")
    if spec.name is not None:
        wanted = [spec.name] if len(infos) == 1 else [f"{spec.name}-{info.name}" for info in infos]
        for name in wanted:
            catalogue.name_free(context.db, "extraction", name)
    else:
        wanted = [_free_name(f"{info.name}-on-{spec.dataset}", context) for info in infos]
    record, model = context.model(models[0])
    parts = []
    for info, name in zip(infos, wanted, strict=True):
        _, sae = context.sae(info.name)
        parts.append(_Part(info, sae, context.check_fits(info, sae, model), name))
    return parts, record, model


def _free_name(name: str, context: Context) -> str:
    """The name itself, or with the first free number behind it."""
    number, candidate = 1, name[:96]
    while True:
        try:
            catalogue.name_free(context.db, "extraction", candidate)
        except NameTaken:
            number += 1
            candidate = f"{name[:96]}-{number}"
        else:
            return candidate


def plan_batch(spec: ExtractFeatures, parts: list[_Part], samples: int) -> tuple[int, str]:
    """How many samples to reduce at once, and why."""
    if spec.vectorization_batch_size != "auto":
        return int(spec.vectorization_batch_size), "as asked"
    active = max(part.sae.k or part.sae.d_sae / 32 for part in parts)
    bytes_per_sample = spec.context * active * 120
    room = psutil.virtual_memory().available * 0.05
    fitting = max(1, int(room / bytes_per_sample))
    size = next(size for size in (256, 128, 64, 32, 1) if size <= fitting or size == 1)
    size = max(1, min(size, samples))
    mib = size * bytes_per_sample / 2**20
    return size, f"about {mib:.0f} MiB of {room / 0.05 / 2**30:.1f} GiB free memory"


@torch.inference_mode()
def _probe(job: _Pass, part: _Part) -> Probe:
    """FVU and L0 on the first samples; stops when the SAE explains less than nothing, unless forced."""
    spec, rows = job.spec, job.rows
    block = slice(0, min(block_samples(spec.context) // 2 or 1, rows.samples))
    ids = torch.from_numpy(rows.tokens[block].astype("int64")).to(job.model.device)
    x = job.model.read(ids, [part.hookpoint])[part.hookpoint]
    valid = torch.from_numpy(rows.valid(block, include_special=spec.include_special)).to(x.device)
    if not bool(valid.any()):
        return Probe(0.0, 0.0, 0.0, 0)
    measured = probe(part.sae, x[valid])
    if measured.fvu >= 1.0:
        found = f"(fraction of variance unexplained {measured.fvu:.2f}, L0 {measured.l0:.0f})"
        line = f"SAE {part.record.name!r} explains less than nothing of {part.hookpoint} {found}"
        if not spec.force:
            hint = "a wrong layer, a missing normalisation or another model? --force goes on anyway"
            raise WrongRequest(line, hint)
        job.context.notify(f"{line}; forced to go on")
    return measured


def _sweep(job: _Pass, batch_size: int) -> tuple[list[ExtractionState], dict[str, float], int]:
    """The pass itself, saved from time to time: the states, seconds of each phase, tokens of an earlier try."""
    spec, context, stop = job.spec, job.context, job.stop
    work = context.work_folder(job.work_name)
    settings = [
        Settings(
            d_sae=part.sae.d_sae,
            top_k=min(spec.top_k, stop),
            window=min(spec.window, spec.context),
            seed=spec.seed,
            first=0 if spec.include_special else 1,
        )
        for part in job.parts
    ]
    states = checkpoint.load_states(work, settings, str(context.device))
    if states and states[0].samples:
        context.notify(f"going on from sample {states[0].samples:,} of {stop:,}")
    states = states or checkpoint.new_states(work.parent, settings, str(context.device))
    readers = [Reader(part.sae, part.hookpoint, state) for part, state in zip(job.parts, states, strict=True)]
    start, tokens_before = states[0].samples, states[0].tokens
    saved, save_cost, seconds = time.perf_counter(), 0.0, {}
    context.tell(Progress("extracting", start, stop, "samples"))
    passes = sweep(
        job.model.read,
        readers,
        job.rows,
        start=start,
        stop=stop,
        batch_size=batch_size,
        include_special=spec.include_special,
        device=job.model.device,
    )
    for swept in passes:
        done = start + swept.samples
        seconds = swept.seconds
        context.tell(Progress("extracting", done, stop, "samples", f"{tokens_before + swept.tokens:,} tokens"))
        if done < stop and time.perf_counter() - saved > max(_SAVE_SECONDS, 50 * save_cost):
            clock = time.perf_counter()
            flush(readers, swept.batch_size)
            checkpoint.save_states(work, states)
            save_cost, saved = time.perf_counter() - clock, time.perf_counter()
    return states, dict(seconds), tokens_before


def _write(job: _Pass, part: _Part, state: ExtractionState, facts: WeightFacts) -> Extraction:
    """Tables into the home, then the row into the catalogue."""
    spec, context, model, dataset = job.spec, job.context, job.model_record, job.dataset
    context.tell(Progress("writing", 0, None, "features", part.name))
    id = new_id()
    try:
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
    except BaseException:
        context.home.discard("extractions", id)
        raise


def _listed(record: Extraction, spec: ExtractFeatures, context: Context) -> Extraction:
    """The record as it is listed: a name that nobody chose makes way for one taken during the pass."""
    while True:
        try:
            catalogue.add_extraction(context.db, record)
        except NameTaken:
            if spec.name is not None:
                raise
            record = replace(record, name=_free_name(f"{record.sae}-on-{record.dataset}", context))
        else:
            return record
