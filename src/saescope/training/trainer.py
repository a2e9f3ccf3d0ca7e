"""One SAE in training: a batch goes in, a measured step comes out; its state can be kept and resumed."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import BadValue, Mismatch
from ..models.allocator import Tidy, give_back_memory, keep_freed_memory
from ..records import TrainMeasure, TrainStep
from ..sae import KINDS, Sae, SaeConfig
from ..specs import TrainSae
from .adam import Adam
from .initial import first_weights, input_scale
from .kinds import OBJECTIVES, Batch, Objective, Outcome, Terms, Weights
from .measure import measure
from .schedules import default_lr, learning_rate, sparsity

X = Float[Tensor, "batch d_in"]
Y = Float[Tensor, "batch d_out"]

_FREE = ("name", "checkpoint_every", "metrics_every", "evaluate_every", "estimate")
"""Fields of a spec that may differ when a run is taken up again: they decide nothing about the weights."""

_MOMENTS = ("exp_avg", "exp_avg_sq")
"""What a state calls Adam's two moments."""

_tidy = Tidy(seconds=10.0)
"""Between steps, of all trainers together."""

_SAELENS = {"relu": "standard", "matryoshka": "matryoshka_batchtopk"}
"""Kinds that SAELens calls otherwise."""


def train(trainer: "Trainer", batches: Iterable[X | tuple[X, Y]]) -> Iterator[TrainStep]:
    """Train on batches (of a transcoder: pairs of input and target) until the run is complete or they end."""
    for batch in batches:
        if trainer.finished:
            return
        yield trainer.step(*batch) if isinstance(batch, tuple) else trainer.step(batch)


@dataclass(frozen=True)
class _Last:
    """The last step's batch and outcome, for whoever wants to measure more of it."""

    batch: Batch
    outcome: Outcome


class Trainer:
    """Trains one SAE as a spec says; knows nothing of models, files or data sets.

    The input's scale, the first weights and b_dec come from the first batch and the spec's seed. Everything is
    deterministic: the same batches give the same weights, to the bit on as many threads, stopped and resumed or not.
    widths: of the hookpoints read, where there are several (crosscoder); d_out: of the target (transcoder).
    """

    def __init__(
        self,
        spec: TrainSae,
        d_in: int,
        *,
        device: str | torch.device = "cpu",
        total_steps: int,
        widths: tuple[int, ...] | None = None,
        d_out: int | None = None,
    ) -> None:
        if spec.k > spec.d_sae and OBJECTIVES[spec.kind].form not in ("relu", "gated"):
            raise BadValue(f"k is {spec.k}, but d_sae is only {spec.d_sae}", "use a smaller --k or a larger --d-sae")
        self.spec, self.d_in, self.d_out, self.total_steps = spec, d_in, d_out or d_in, total_steps
        self.widths = widths or (d_in,)
        self.device = torch.device(device)
        if self.device.type == "cpu":
            keep_freed_memory()
        self.peak_lr = spec.lr or default_lr(spec.d_sae)
        self.dead_after = spec.dead_after or min(10_000_000, max(total_steps * spec.batch // 10, 4 * spec.batch))
        self.steps = 0
        self.tokens = 0
        self.outliers = 0
        """Activations left out because of their norm."""
        self.silent = torch.zeros(spec.d_sae, dtype=torch.long, device=self.device)
        self.objective: Objective = OBJECTIVES[spec.kind](spec, total_steps)
        self._scales: dict[str, Any] = {}
        self._weights: Weights | None = None
        self._adam: Adam | None = None
        self._last: _Last | None = None

    @property
    def scale(self) -> float:
        """What activations are divided by; of several hookpoints, those of the first."""
        return self._scales["in"][0]

    @property
    def transcoder(self) -> bool:
        return self.spec.hookpoint_out is not None

    @property
    def finished(self) -> bool:
        return self.steps >= self.total_steps

    def step(self, x: X, y: Y | None = None) -> TrainStep:
        """Learn from one batch, in the model's own units; y: what a transcoder is to write.

        Raises Mismatch where a width is wrong, BadValue where a number is not finite; the weights are then
        as before.
        """
        x = self._checked(x, self.d_in)
        target = self._checked(y, self.d_out) if y is not None else None
        if (target is not None) != self.transcoder:
            raise Mismatch("a transcoder is trained on pairs, an SAE is not", "give a target to a transcoder alone")
        rows, (batch, weights, adam) = len(x), self._ready(x, target)
        lr, self._last = self.lr, None  # what the last step held makes room for this one
        outcome = self.objective.loss(weights, batch, self._terms())
        loss = float(outcome.loss.detach())
        self._check(loss, "loss")
        adam.forget_gradients()  # of a step that failed
        outcome.loss.backward()
        norm = adam.project()
        self._check(norm, "gradient")
        adam.step(lr, min(1.0, self.spec.clip / (norm + 1e-6)))
        adam.forget_gradients()  # not held through the next forward
        _tidy()
        if weights.threshold is not None:
            weights.threshold.data.clamp_(min=0)

        self.steps += 1
        self.tokens += rows
        self.outliers += rows - len(batch)
        active = self._count(outcome, rows)
        self._last = _Last(batch, outcome)
        return TrainStep(
            step=self.steps,
            tokens=self.tokens,
            loss=loss,
            fvu=_fvu(batch.y, outcome.y_hat.detach()),
            l0=active / len(batch),
            dead=int(self._dead().sum()),
            lr=lr,
        )

    def measure(self) -> TrainMeasure:
        """More about the last step's batch; changes nothing. BadValue before the first step."""
        if self._last is None:
            raise BadValue("nothing has been trained yet", "take at least one step first")
        return measure(self._last.batch, self._last.outcome, self._scales["out"][0])

    @property
    def lr(self) -> float:
        """The learning rate of the next step."""
        return learning_rate(self.steps, self.total_steps, self.peak_lr, self.spec.warm_up, self.spec.decay)

    def sae(self, metadata: dict[str, Any] | None = None) -> Sae:
        """The SAE as it stands, for activations in their own units, decoder rows of unit norm."""
        if self._weights is None:
            raise BadValue("nothing has been trained yet", "take at least one step first")
        weights, spec, objective = self._weights, self.spec, self.objective
        into, out = self._scale("in"), self._scale("out")
        # z = x / into and y = out * (f W + b): the scales go into the weights, then each row's norm into its feature
        encoder, decoder = weights.encoder.detach().T, weights.decoder.detach()
        if objective.unit_norm:
            norm: Any = float(out[0])
            decoder = decoder.clone()
        else:
            scaled = decoder * out
            norm = scaled.norm(dim=1).clamp(min=1e-12)
            decoder = scaled / norm[:, None]
        ratio = encoder * norm / into[:, None] if self._mixed else encoder * (norm / into[0])
        tensors = {
            "W_enc": ratio.contiguous(),
            "b_enc": weights.b_enc.detach() * norm,
            "W_dec": decoder,
            "b_dec": weights.b_dec.detach() * out,
            **objective.parts(weights, norm),
        }
        if weights.skip is not None:
            tensors["W_skip"] = weights.skip.detach() * out[:, None] / into
        cfg = SaeConfig(
            kind=objective.form,
            d_in=self.d_in,
            d_sae=spec.d_sae,
            k=spec.k if objective.form == "topk" else None,
            model=spec.model,
            hookpoint=spec.hookpoint,
            apply_b_dec_to_input=self._centred,
            d_out=self.d_out if self.transcoder else None,
            skip=spec.skip,
            hookpoint_out=spec.hookpoint_out or "",
            metadata=self._metadata() | (metadata or {}),
        )
        return KINDS[objective.form](cfg, tensors)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Everything a run is: tensors, and facts that JSON can hold."""
        tensors = {"silent": self.silent.clone()}
        if self._weights is not None and self._adam is not None:
            for name, parameter in self._weights.parameters().items():
                tensors[name] = parameter.detach().clone()
                for key, moment in zip(_MOMENTS, self._adam.moments[name], strict=True):
                    tensors[f"{name}.{key}"] = moment.clone()
        facts = {
            "spec": self.spec.model_dump(mode="json"),
            **self._sizes,
            "steps": self.steps,
            "tokens": self.tokens,
            "outliers": self.outliers,
            "scales": self._scales,
            "objective": self.objective.facts,
        }
        return tensors, facts

    def load_state(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Take up a run where it was. Raises Mismatch where it is a run of something else."""
        sizes = {key: facts.get(key) for key in self._sizes}
        ours, theirs = {**self.spec.model_dump(mode="json"), **self._sizes}, {**facts["spec"], **sizes}
        for key in ours:
            if key not in _FREE and ours[key] != theirs.get(key):
                raise Mismatch(
                    f"the run to resume has {key} {theirs.get(key)!r}, this one {ours[key]!r}",
                    "resume with the same settings, or start anew",
                )
        self.steps, self.tokens, self.outliers = facts["steps"], facts["tokens"], facts["outliers"]
        self._scales, self.objective.facts = dict(facts["scales"]), dict(facts["objective"])
        self.silent = tensors["silent"].to(self.device)
        if "encoder" not in tensors:
            return
        names = [name for name in Weights.__dataclass_fields__ if name in tensors]
        weights, adam = self._begin(Weights(**{name: tensors[name].to(self.device) for name in names}))
        adam.steps = self.steps
        for name in weights.parameters():
            mean, square = (tensors[f"{name}.{key}"].to(self.device).clone() for key in _MOMENTS)
            adam.moments[name] = mean, square

    @property
    def _sizes(self) -> dict[str, int]:
        """What must be the same for a state to be taken up, besides the spec."""
        return {"d_in": self.d_in, "d_out": self.d_out, "total_steps": self.total_steps}

    @property
    def _centred(self) -> bool:
        return not self.transcoder and len(self.widths) == 1

    @property
    def _mixed(self) -> bool:
        """Whether parts of the input have scales of their own."""
        return len(self.widths) > 1

    def _scale(self, side: str) -> Float[Tensor, "d"]:
        """What each number of the input or output was divided by."""
        scales = self._scales[side]
        widths = self.widths if self._mixed else (self.d_in if side == "in" else self.d_out,)
        counts = torch.tensor(widths, device=self.device)
        return torch.tensor(scales, device=self.device).repeat_interleave(counts)

    def _ready(self, x: Tensor, y: Tensor | None) -> tuple[Batch, Weights, Adam]:
        """The batch scaled, and the weights, which a first batch begins."""
        first = self._weights is None
        if first:
            self._scales = self._first_scales(x, y)
        if self.spec.outliers is not None:
            near = x.norm(dim=1) <= self.spec.outliers * self._scales["median"]
            x, y = x[near], None if y is None else y[near]
            if not len(x):
                raise BadValue(f"every activation at step {self.steps + 1} is an outlier", "use a larger --outliers")
        z = x / self._scale("in") if self._mixed else x / self._scales["in"][0]
        batch = Batch(z, z if y is None else y / self._scales["out"][0], self._centred)
        if first:
            self._begin(first_weights(self.objective, batch))
        assert self._weights is not None
        assert self._adam is not None
        return batch, self._weights, self._adam

    def _first_scales(self, x: Tensor, y: Tensor | None) -> dict[str, Any]:
        norms = x.norm(dim=1)
        median = float(norms.median())
        usual = x[norms <= self.spec.outliers * median] if self.spec.outliers is not None else x
        into = [input_scale(part) for part in usual.split(list(self.widths), dim=1)]
        return {"in": into, "out": into if y is None else [input_scale(y)], "median": median}

    def _begin(self, weights: Weights) -> tuple[Weights, Adam]:
        for name, tensor in weights.parameters().items():
            setattr(weights, name, tensor.detach().clone().requires_grad_())
        self._weights = weights
        self._adam = Adam(weights.parameters(), "decoder" if self.objective.unit_norm else None)
        give_back_memory()  # of the first weights' making
        return self._weights, self._adam

    def _terms(self) -> Terms:
        return Terms(self.steps, sparsity(self.steps, self.total_steps, self.spec.sparsity_warm_up), self._dead())

    def _dead(self) -> Tensor:
        return self.silent >= self.dead_after

    def _count(self, outcome: Outcome, rows: int) -> int:
        """Note which features were active; the number of activations."""
        active = outcome.values > 0
        self.silent += rows
        self.silent[outcome.chosen.features[active]] = 0
        self.objective.follow(outcome, self.steps)
        return int(active.sum())

    def _checked(self, x: Tensor, width: int) -> Tensor:
        if x.ndim != 2 or x.shape[1] != width:
            raise Mismatch(
                f"a batch has shape {list(x.shape)}, but this SAE reads rows of {width}",
                "give activations of the hookpoint it is trained on",
            )
        x = x.to(self.device, torch.float32)
        if not bool(torch.isfinite(x.sum())):
            rows = int((~torch.isfinite(x)).any(1).sum())
            if rows:
                raise BadValue(
                    f"{rows} of {len(x)} activations at step {self.steps + 1} are not finite",
                    "load the model in float32, or choose another hookpoint",
                )
        return x

    def _check(self, number: float, what: str) -> None:
        if not math.isfinite(number):
            raise BadValue(
                f"training diverged: the {what} at step {self.steps + 1} is {number}",
                "use a lower --lr; the newest checkpoint is from before",
            )

    def _metadata(self) -> dict[str, Any]:
        spec = self.spec
        return {
            "dataset_path": spec.dataset,
            "context_size": spec.context,
            "seed": spec.seed,
            "training_tokens": self.tokens,
            "training_architecture": _SAELENS.get(spec.kind, spec.kind),
            "training_architecture_details": self.objective.details(),
            "activation_scale": self._scales.get("in"),
            "exclude_special_tokens": not spec.include_special,
            "prepend_bos": True,
        }


def _fvu(y: Tensor, y_hat: Tensor) -> float:
    variance = float((y - y.mean(0)).square().sum())
    return float((y_hat - y).square().sum()) / variance if variance > 0 else float("nan")
