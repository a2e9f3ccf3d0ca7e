"""`train`: an SAE on activations streamed from the model, checkpointed as it goes."""

import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..data.tokens import TokenStore
from ..errors import BadSource, NotFound
from ..extraction.sweep import block_samples
from ..fingerprint import content_hash
from ..home import new_id
from ..models.language_model import LanguageModel
from ..records import Dataset, Model, Progress, SaeInfo, TrainStep
from ..sae.base import Sae
from ..sae.metrics import Reconstruction
from ..specs import TrainSae
from ..store import catalogue
from ..training import Checkpoints, ShuffledActivations, Trainer, ce_recovered, train
from ..version import VERSION
from .add_sae import keep_sae
from .clock import now
from .context import Context, Tell
from .show import show_sae

_HELD_OUT = 64
"""Rows kept from training to measure on, at most; never more than a tenth of all."""
_CE_ROWS = 16
"""Of these, rows that the whole model runs on three times."""
_CE_TOKENS = 512
"""Tokens of these at once, or one row: each has as many logits as the vocabulary has tokens."""


def run(spec: TrainSae, context: Context, *, resume: bool = False) -> dict[str, Any]:
    """Train, measure on rows that were held out, and keep the SAE. With `resume`, go on from the newest checkpoint."""
    dataset = catalogue.dataset(context.db, spec.dataset)
    model_record, model = context.model(spec.model)
    spec = spec.model_copy(update={"hookpoint": model.hookpoint(spec.hookpoint), "batch": min(spec.batch, spec.tokens)})
    work = f"train-{content_hash(_decisive(spec), VERSION, model.fingerprint, dataset.fingerprint)[:32]}"
    with context.owning(work):
        return _carry_out(spec, dataset, model_record, model, work, resume, context)


def _carry_out(
    spec: TrainSae,
    dataset: Dataset,
    model_record: Model,
    model: LanguageModel,
    work: str,
    resume: bool,
    context: Context,
) -> dict[str, Any]:
    began = time.perf_counter()
    hookpoint = spec.hookpoint
    name = spec.name or f"{spec.kind}-{hookpoint}-{spec.d_sae}"
    catalogue.name_free(context.db, "sae", name)
    rows = context.tokens(dataset, model, spec.context, spec.packing)
    training, held_out = _split(rows, spec)

    total_steps = max(1, spec.tokens // spec.batch)
    trainer = Trainer(spec, model.hookpoints[hookpoint], device=context.device, total_steps=total_steps)
    checkpoints = Checkpoints(context.work_folder(work))
    _take_up(trainer, checkpoints, resume, context)

    reading = _Reading(model, rows, training, hookpoint, spec.include_special, context.tell)
    stream = ShuffledActivations(
        reading.read,
        len(training),
        context=spec.context,
        buffer=min(spec.buffer, len(training) * spec.context),
        batch=spec.batch,
        reuse=spec.reuse,
        seed=spec.seed,
        counts=_valid_counts(rows, training, spec.include_special),
    )
    last: TrainStep | None = None
    steps = trainer.steps
    for step in _steps(trainer, stream, checkpoints, spec, context, reading):
        last = step
    trained_tokens = (trainer.steps - steps) * spec.batch
    seconds = time.perf_counter() - began

    sae = trainer.sae(metadata={"model_name": spec.model, "hook_name": hookpoint}).to(context.device)
    metrics = _measure(sae, model, rows, held_out, hookpoint, spec, context)
    metrics["dead"] = last.dead if last else _none_dead(trainer)
    record = _keep(sae, name, model_record.name, dataset, hookpoint, metrics, context)
    context.clear_work(work)
    return {
        **show_sae(record, context.home),
        "sae": record.name,
        "steps": trainer.steps,
        "tokens": trainer.tokens,
        "tokens_read": reading.tokens,
        "seconds": time.perf_counter() - began,
        "tokens_per_second": trained_tokens / max(seconds, 1e-9),
        "phases": {"model": reading.seconds, "training": seconds - reading.seconds},
        "fvu": metrics["fvu"],
        "l0": metrics["l0"],
        "dead": metrics["dead"],
        "ce_recovered": metrics["ce_recovered"],
    }


def _decisive(spec: TrainSae) -> str:
    """Everything that decides the answer."""
    return json.dumps(spec.model_dump(mode="json", exclude={"name", "checkpoint_every"}), sort_keys=True)


def _none_dead(trainer: Trainer) -> int:
    return int((trainer.silent >= trainer.dead_after).sum())


def _split(rows: TokenStore, spec: TrainSae) -> tuple[np.ndarray, np.ndarray]:
    """Rows to train on and rows to measure on, by the seed."""
    order = np.random.default_rng([spec.seed, 2]).permutation(rows.samples)
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


@dataclass
class _Reading:
    """Turns rows into activations and says how far it has come."""

    model: LanguageModel
    rows: TokenStore
    chosen: np.ndarray
    hookpoint: str
    include_special: bool
    tell: Tell
    tokens: int = 0
    seconds: float = 0.0

    def read(self, numbers: np.ndarray) -> Tensor:
        """Activations at the valid tokens of some of the chosen rows."""
        began = time.perf_counter()
        rows = self.chosen[numbers]
        size = block_samples(self.rows.context)
        parts = [self._block(rows[start : start + size]) for start in range(0, len(rows), size)]
        self.seconds += time.perf_counter() - began
        return torch.cat(parts)

    def _block(self, rows: np.ndarray) -> Tensor:
        ids = torch.from_numpy(self.rows.tokens[rows].astype(np.int64)).to(self.model.device)
        valid = torch.from_numpy(self.rows.valid(rows, include_special=self.include_special)).to(self.model.device)
        x = self.model.read(ids, [self.hookpoint])[self.hookpoint][valid].float()
        self.tokens += len(x)
        self.tell(Progress("reading activations", self.tokens, None, "tokens"))
        return x


def _take_up(trainer: Trainer, checkpoints: Checkpoints, resume: bool, context: Context) -> None:
    if not resume:
        return
    newest = checkpoints.newest()
    if newest is None:
        raise NotFound(
            "there is no checkpoint of this run", "give the settings it was started with, or leave out --resume"
        )
    for warning in newest.damaged:
        context.notify(warning)
    trainer.load_state(newest.tensors, newest.facts)
    context.notify(f"going on from step {trainer.steps:,} of {trainer.total_steps:,}")


def _steps(
    trainer: Trainer,
    stream: ShuffledActivations,
    checkpoints: Checkpoints,
    spec: TrainSae,
    context: Context,
    reading: _Reading,
) -> Iterator[TrainStep]:
    """Every step, told and checkpointed."""
    context.tell(Progress("training", trainer.steps * spec.batch, trainer.total_steps * spec.batch, "tokens"))
    for step in train(trainer, stream.batches(trainer.steps)):
        if step.step % spec.checkpoint_every == 0 and not trainer.finished:
            checkpoints.save(step.step, *trainer.state())
        if step.step % 10 == 0 or trainer.finished:
            note = f"FVU {step.fvu:.3f}  L0 {step.l0:.1f}  dead {step.dead:,}"
            context.tell(Progress("training", step.tokens, trainer.total_steps * spec.batch, "tokens", note))
        yield step
    total = trainer.total_steps * spec.batch
    context.tell(Progress("training", total, total, "tokens"))


@torch.no_grad()
def _measure(
    sae: Sae,
    model: LanguageModel,
    rows: TokenStore,
    held_out: np.ndarray,
    hookpoint: str,
    spec: TrainSae,
    context: Context,
) -> dict[str, Any]:
    """FVU and L0 on the rows held out, and the cross-entropy recovered on a few of them."""
    context.tell(Progress("measuring", 0, len(held_out), "samples"))
    reading = _Reading(model, rows, held_out, hookpoint, spec.include_special, lambda progress: None)
    reconstruction = Reconstruction()
    for start in range(0, len(held_out), 16):
        for x in reading.read(np.arange(start, min(start + 16, len(held_out)))).split(512):
            reconstruction.update(x, sae(x), len(sae.active(x).rows))
        context.tell(Progress("measuring", min(start + 16, len(held_out)), len(held_out), "samples"))
    probe = reconstruction.probe()
    recovered = measure_ce_recovered(sae, model, rows, held_out[:_CE_ROWS], hookpoint, spec.include_special)
    return {"fvu": probe.fvu, "l0": probe.l0, "ce_recovered": recovered}


@torch.no_grad()
def measure_ce_recovered(
    sae: Sae,
    model: LanguageModel,
    rows: TokenStore,
    chosen: np.ndarray,
    hookpoint: str,
    include_special: bool,
) -> float | None:
    """Cross-entropy recovered with the SAE's reconstruction in place at valid tokens; None where it cannot be said."""
    losses = {"clean": 0.0, "zero": 0.0, "sae": 0.0}
    rows_at_once = max(1, _CE_TOKENS // rows.context)
    for start in range(0, len(chosen), rows_at_once):
        part = chosen[start : start + rows_at_once]
        ids = torch.from_numpy(rows.tokens[part].astype(np.int64)).to(model.device)
        valid = torch.from_numpy(rows.valid(part, include_special=include_special)).to(model.device)
        predicted = torch.from_numpy(rows.valid(part, include_special=False)).to(model.device)[:, 1:]

        def zeroed(h: Tensor, valid: Tensor = valid) -> Tensor:
            return h.masked_fill(valid[..., None], 0)

        def reconstructed(h: Tensor, valid: Tensor = valid) -> Tensor:
            h = h.clone()
            h[valid] = sae(h[valid].float()).to(h.dtype)
            return h

        for which, edit in (("clean", None), ("zero", zeroed), ("sae", reconstructed)):
            if edit is None:
                logits = model.logits(ids)
            else:
                with model.editing(hookpoint, edit):
                    logits = model.logits(ids)
            loss = torch.nn.functional.cross_entropy(
                logits[:, :-1][predicted].float(), ids[:, 1:][predicted], reduction="sum"
            )
            losses[which] += float(loss)
    if losses["zero"] == losses["clean"] or not all(map(math.isfinite, losses.values())):
        return None
    return ce_recovered(losses["clean"], losses["zero"], losses["sae"])


def _keep(
    sae: Sae,
    name: str,
    model: str,
    dataset: Dataset,
    hookpoint: str,
    metrics: dict[str, Any],
    context: Context,
) -> SaeInfo:
    record = SaeInfo(
        id=new_id(),
        name=name,
        kind=sae.kind,
        d_in=sae.d_in,
        d_sae=sae.d_sae,
        model=model,
        hookpoint=hookpoint,
        source=f"trained on {dataset.name}",
        fingerprint="",
        metrics=metrics,
        created=now(),
    )
    record = keep_sae(record, sae, context)
    context.keep_sae(record, sae)
    return record
