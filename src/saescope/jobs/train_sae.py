"""`train`: one SAE, or several on one stream of activations, checkpointed as they go.

Every SAE has a trainer, checkpoints and metric rows of its own, under a name made of all that decides it: trained in
company it comes out as it would alone, and a run can be gone on with in other company.
"""

import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from .. import faults
from ..data.tokens import TokenStore
from ..errors import BadSource, BadValue, Interrupted, NotFound
from ..fingerprint import content_hash
from ..home import new_id
from ..models.language_model import SIDE_BY_SIDE, LanguageModel
from ..records import Dataset, Progress, SaeInfo, TrainStep
from ..requests import only_estimated
from ..sae.base import Sae
from ..specs import TrainSae, TrainSaes
from ..store import catalogue
from ..store.jobs import already_made
from ..store.metrics import MetricLines
from ..store.show import show_sae
from ..training import Checkpoints, ShuffledActivations, Trainer
from ..version import VERSION
from .activation_cache import ActivationCache
from .add_sae import keep_sae
from .clock import now
from .context import Context
from .evaluate_sae import reconstruction, spliced
from .reading import Reading
from .train_estimate import estimate

_HELD_OUT = 64
"""Rows kept from training to measure on, at most; never more than a tenth of all."""
_CE_ROWS = 16
"""Of these, rows that the whole model runs on with and without the SAE."""
_TOLD_EVERY = 10
"""Steps between words about how far a training has come."""


def run(spec: TrainSae | TrainSaes, context: Context, *, resume: bool = False) -> dict[str, Any]:
    """Train, measure on rows that were held out, and keep the SAEs; `resume`: there have to be checkpoints."""
    specs = spec.saes if isinstance(spec, TrainSaes) else (spec,)
    dataset = catalogue.dataset(context.db, specs[0].dataset)
    _, model = context.model(specs[0].model)
    lanes = [_lane(one, model, dataset, context) for one in specs]
    if len({lane.name for lane in lanes}) < len(lanes):
        raise BadValue("two of the SAEs would have the same name", "give each a name of its own")
    if len({lane.work for lane in lanes}) < len(lanes):
        raise BadValue("two of the SAEs differ in nothing but their names", "ask for one of them")
    if only_estimated(spec):
        return _Training(lanes, dataset, model, context).estimate()
    with contextlib.ExitStack() as stack:
        for lane in lanes:
            stack.enter_context(context.owning(lane.work))
        documents = _Training(lanes, dataset, model, context).carry_out(resume)
    return documents[0] if isinstance(spec, TrainSae) else {"saes": documents}


@dataclass
class _Lane:
    """One SAE among those trained on a stream."""

    spec: TrainSae
    name: str
    work: str
    """Its folder under the home's work, and what its run is known by."""
    trainer: Trainer
    checkpoints: Checkpoints
    lines: MetricLines
    last: TrainStep | None = None
    begun_at: int = 0
    """Steps made in an earlier try."""
    seconds: float = 0.0
    """Spent on its own steps."""
    marked: tuple[int, float] = (0, 0.0)
    """Tokens and seconds at the last row of metrics."""
    document: dict[str, Any] | None = field(default=None)

    @property
    def target(self) -> str:
        """Where the SAE writes."""
        return self.spec.hookpoint_out or self.spec.hookpoint


def _lane(spec: TrainSae, model: LanguageModel, dataset: Dataset, context: Context) -> _Lane:
    leaving = model.hookpoint(spec.hookpoint_out) if spec.hookpoint_out else None
    fixed = {"hookpoint": model.hookpoint(spec.hookpoint), "batch": min(spec.batch, spec.tokens)}
    spec = spec.model_copy(update={**fixed, "hookpoint_out": leaving})
    widths = model.widths(spec.hookpoint)
    if leaving and SIDE_BY_SIDE in leaving:
        raise BadValue(f"a transcoder writes at one place, not at {leaving}", "name one of them")
    decisive = spec.model_dump(
        mode="json", exclude={"name", "checkpoint_every", "metrics_every", "evaluate_every", "cache", "estimate"}
    )
    if spec.cache != "none":
        decisive["cache"] = spec.cache
    key = content_hash(json.dumps(decisive, sort_keys=True), VERSION, model.fingerprint, dataset.fingerprint)
    work = f"train-{key[:32]}"
    folder = context.work_folder(work)
    trainer = Trainer(
        spec,
        sum(widths),
        device=context.device,
        total_steps=max(1, spec.tokens // spec.batch),
        widths=widths,
        d_out=model.hookpoints[leaving] if leaving else None,
    )
    name = spec.name or _name(spec)
    return _Lane(spec, name, work, trainer, Checkpoints(folder), MetricLines(folder))


def _name(spec: TrainSae) -> str:
    place = spec.hookpoint.replace(SIDE_BY_SIDE, "-and-")
    return f"{spec.kind}-{place}-{spec.d_sae}"


@dataclass
class _Training:
    """The SAEs of one stream, from first batch to catalogue."""

    lanes: list[_Lane]
    dataset: Dataset
    model: LanguageModel
    context: Context
    began: float = field(default_factory=time.perf_counter)

    def estimate(self) -> dict[str, Any]:
        """What it would take; nothing is trained."""
        rows, training, held_out = self._rows()
        reading = self._reading(self.lanes, rows)
        return estimate([lane.trainer for lane in self.lanes], reading, training, len(held_out), self.context)

    def carry_out(self, resume: bool) -> list[dict[str, Any]]:
        spec, context = self.lanes[0].spec, self.context
        for lane in self.lanes:
            again = resume or already_made(context.db, "sae", lane.name)
            if not (again and self._finished_before(lane)):
                catalogue.name_free(context.db, "sae", lane.name)
        going = [lane for lane in self.lanes if lane.document is None]
        rows, training, held_out = self._rows()
        self._take_up(going, resume)
        reading = self._reading(going, rows)
        reading.caches = self._caches(reading, spec)
        if going:
            self._train(going, reading, training)
        seconds = time.perf_counter() - self.began
        for lane in going:
            self._finish(lane, reading, held_out, seconds)
        return [lane.document for lane in self.lanes if lane.document is not None]

    # ---- before ----

    def _rows(self) -> tuple[TokenStore, np.ndarray, np.ndarray]:
        """The tokenized dataset, which of its rows to train on, and which to measure on."""
        spec = self.lanes[0].spec
        rows = self.context.tokens(self.dataset, self.model, spec.context, spec.packing)
        return rows, *_split(rows, spec)

    def _reading(self, lanes: list[_Lane], rows: TokenStore) -> Reading:
        places = [part for lane in lanes for name in (lane.spec.hookpoint, lane.target) for part in name.split("+")]
        special = self.lanes[0].spec.include_special
        return Reading(self.model, rows, tuple(dict.fromkeys(places)), special, self.context.tell)

    def _finished_before(self, lane: _Lane) -> bool:
        """Whether an earlier try of this very run has kept the SAE already, before it was stopped."""
        for record in catalogue.saes(self.context.db):
            if record.name == lane.name:
                document = show_sae(record, self.context.home)
                if document.get("training", {}).get("run") == lane.work:
                    lane.document = {**document, "sae": record.name, **record.metrics}
                    self.context.clear_work(lane.work)
                    return True
        return False

    def _take_up(self, lanes: list[_Lane], resume: bool) -> None:
        """Go on from the newest whole checkpoint of each SAE, which gives what beginning anew would give, sooner.

        resume: there has to be one.
        """
        for lane in lanes:
            try:
                newest = lane.checkpoints.newest()
            except BadValue as damaged:
                if resume:
                    raise
                self.context.notify(f"{damaged.message}: {lane.name} is begun anew")
                newest = None
            if newest is not None:
                for warning in newest.damaged:
                    self.context.notify(warning)
                lane.trainer.load_state(newest.tensors, newest.facts)
                of = f"{newest.step:,} of {lane.trainer.total_steps:,}"
                self.context.notify(f"{lane.name}: going on from step {of}")
        if resume and lanes and not any(lane.trainer.steps for lane in lanes):
            raise NotFound(
                "there is no checkpoint of this run", "give the settings it was started with, or leave out --resume"
            )
        for lane in lanes:
            lane.begun_at = lane.trainer.steps
            lane.lines.begin(lane.begun_at)

    def _caches(self, reading: Reading, spec: TrainSae) -> dict[str, ActivationCache]:
        if spec.cache == "none":
            return {}
        rows = reading.rows
        counts = rows.valid(slice(0, rows.samples), include_special=spec.include_special).sum(1)
        shared = {
            "model": self.model.fingerprint,
            "tokenizer": self.model.tokenizer_fingerprint,
            "dataset": self.dataset.fingerprint,
            "tokens": rows.fingerprint,
            "context": spec.context,
            "packing": spec.packing,
            "include_special": spec.include_special,
            "model_dtype": str(self.model.dtype),
            "quantize": self.model.quantize,
            "format": spec.cache,
        }
        return {
            name: ActivationCache.open(
                self.context.home, {**shared, "hookpoint": name, "width": self.model.hookpoints[name]}, counts
            )
            for name in reading.hookpoints
        }

    # ---- the loop ----

    def _train(self, lanes: list[_Lane], reading: Reading, training: np.ndarray) -> None:
        spec, trainer = lanes[0].spec, lanes[0].trainer
        stream = ShuffledActivations(
            lambda numbers: reading.read(training[numbers]),
            len(training),
            context=spec.context,
            buffer=min(spec.buffer, len(training) * spec.context),
            batch=spec.batch,
            reuse=spec.reuse,
            seed=spec.shuffle_seed,
            counts=_valid_counts(reading.rows, training, spec.include_special),
        )
        total = trainer.total_steps
        start = min(lane.trainer.steps for lane in lanes)
        self._tell(lanes, start, total)
        columns = {name: _columns(reading, name) for lane in lanes for name in (lane.spec.hookpoint, lane.target)}
        if start == total:
            return
        for step, batch in enumerate(self._batches(stream, start, lanes), start + 1):
            for lane in lanes:
                if lane.trainer.steps < step:
                    self._step(lane, batch[:, columns[lane.spec.hookpoint]], batch, columns, reading)
            faults.point("train.step")
            if step % _TOLD_EVERY == 0 or step == total:
                self._tell(lanes, step, total)
            if step == total or step % spec.checkpoint_every == 0 or self.context.stop.is_set():
                self._checkpoint(lanes)
            if step == total:
                return
            if self.context.stop.is_set():
                raise Interrupted(f"stopped at step {step:,} of {total:,}", "go on with the same command and --resume")

    def _batches(self, stream: ShuffledActivations, start: int, lanes: list[_Lane]) -> Iterator[Tensor]:
        """The stream from a step on; stopped while it reads, what was trained is kept first."""
        try:
            yield from stream.batches(start)
        except Interrupted:
            self._checkpoint(lanes)
            raise

    def _step(self, lane: _Lane, x: Tensor, batch: Tensor, columns: dict[str, Any], reading: Reading) -> None:
        clock = time.perf_counter()
        y = batch[:, columns[lane.target]] if lane.trainer.transcoder else None
        lane.last = step = lane.trainer.step(x, y)
        lane.seconds += time.perf_counter() - clock
        spec = lane.spec
        evaluated = bool(spec.evaluate_every) and step.step % spec.evaluate_every == 0
        if step.step % spec.metrics_every == 0 or step.step in (1, lane.trainer.total_steps) or evaluated:
            self._note(lane, step, reading, evaluated)

    def _note(self, lane: _Lane, step: TrainStep, reading: Reading, evaluated: bool) -> None:
        """Write a row of metrics."""
        splice = None
        if evaluated:
            _, held_out = _split(reading.rows, lane.spec)
            splice = self._spliced(lane, lane.trainer.sae(), reading, held_out[: _CE_ROWS // 2])
        tokens, seconds = lane.marked
        rate = (step.tokens - tokens) / max(lane.seconds - seconds, 1e-9) if lane.seconds > seconds else None
        lane.marked = step.tokens, lane.seconds
        row = {**step.to_json(), **lane.trainer.measure().to_json()}
        row |= {"ce_recovered": splice and splice.ce_recovered, "kl": splice and splice.kl, "tokens_per_second": rate}
        lane.lines.add(row)

    def _spliced(self, lane: _Lane, sae: Sae, reading: Reading, chosen: np.ndarray) -> Any:
        spec = lane.spec
        return spliced(sae, self.model, reading.rows, chosen, spec.hookpoint, lane.target, spec.include_special)

    def _checkpoint(self, lanes: list[_Lane]) -> None:
        self.context.saving()
        for lane in lanes:
            lane.lines.sync()
            lane.checkpoints.save(lane.trainer.steps, *lane.trainer.state())
        self.context.kept()

    def _tell(self, lanes: list[_Lane], step: int, total: int) -> None:
        last, batch = lanes[0].last, lanes[0].spec.batch
        note = f"FVU {last.fvu:.3f}  L0 {last.l0:.1f}  dead {last.dead:,}" if last else ""
        if len(lanes) > 1:
            note = f"{len(lanes)} SAEs; of the first: {note}" if note else f"{len(lanes)} SAEs"
        self.context.tell(Progress("training", step * batch, total * batch, "tokens", note))

    # ---- after ----

    def _finish(self, lane: _Lane, reading: Reading, held_out: np.ndarray, seconds: float) -> None:
        """Measure on rows held out, then into the home and the catalogue."""
        faults.point("train.trained")
        context, trainer, spec = self.context, lane.trainer, lane.spec
        context.tell(Progress("measuring", 0, len(held_out), "samples", lane.name))
        about = {"model_name": spec.model, "hook_name": spec.hookpoint, "run": lane.work}
        sae = trainer.sae(metadata=about).to(context.device)
        quiet = Reading(self.model, reading.rows, reading.hookpoints, spec.include_special, lambda progress: None)
        quiet.caches = reading.caches
        probe = reconstruction(sae, quiet, held_out, spec.hookpoint, lane.target)
        splice = self._spliced(lane, sae, reading, held_out[:_CE_ROWS])
        context.tell(Progress("measuring", len(held_out), len(held_out), "samples", lane.name))
        dead = int((trainer.silent >= trainer.dead_after).sum())
        metrics = {"fvu": probe.fvu, "l0": probe.l0, "ce_recovered": splice.ce_recovered, "kl": splice.kl, "dead": dead}
        record = keep_sae(self._record(lane, sae, metrics), sae, context, also=lane.lines.keep)
        context.keep_sae(record, sae)
        context.clear_work(lane.work)
        trained = (trainer.steps - lane.begun_at) * spec.batch
        lane.document = {
            **show_sae(record, context.home),
            "sae": record.name,
            "steps": trainer.steps,
            "tokens": trainer.tokens,
            "tokens_read": reading.tokens,
            "seconds": time.perf_counter() - self.began,
            "tokens_per_second": trained / max(seconds, 1e-9),
            "phases": {"model": reading.seconds, "training": max(seconds - reading.seconds, 0.0), "own": lane.seconds},
            **metrics,
        }

    def _record(self, lane: _Lane, sae: Sae, metrics: dict[str, float | None]) -> SaeInfo:
        return SaeInfo(
            id=new_id(),
            name=lane.name,
            kind=sae.kind,
            d_in=sae.d_in,
            d_sae=sae.d_sae,
            model=lane.spec.model,
            hookpoint=lane.spec.hookpoint,
            source=f"trained on {self.dataset.name}",
            fingerprint="",
            metrics=metrics,
            created=now(),
        )


def _columns(reading: Reading, hookpoint: str) -> Any:
    """How to take a hookpoint's columns out of a batch: a slice where they are neighbours, as they most often are."""
    columns = reading.columns(hookpoint)
    together = columns == list(range(columns[0], columns[0] + len(columns)))
    return slice(columns[0], columns[0] + len(columns)) if together else columns


def _split(rows: TokenStore, spec: TrainSae) -> tuple[np.ndarray, np.ndarray]:
    """Rows to train on and rows to measure on, by the shuffle seed."""
    order = np.random.default_rng([spec.shuffle_seed, 2]).permutation(rows.samples)
    held = min(_HELD_OUT, rows.samples // 10)
    held_out, training = np.sort(order[:held]), np.sort(order[held:])
    return training, held_out if held else training


def _valid_counts(rows: TokenStore, chosen: np.ndarray, include_special: bool) -> np.ndarray:
    """Valid tokens of each row, worked out some rows at a time."""
    parts = [
        rows.valid(part, include_special=include_special).sum(1)
        for part in np.array_split(chosen, max(1, len(chosen) // 4096))
        if len(part)
    ]
    counts = np.concatenate(parts)
    if not counts.sum():
        raise BadSource("no row of the dataset holds a token that counts", "add a dataset with more text in it")
    return counts
