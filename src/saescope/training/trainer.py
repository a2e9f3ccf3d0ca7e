"""One SAE in training: a batch goes in, a measured step comes out; its state can be kept and resumed."""

import math
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import BadValue, Mismatch
from ..records import TrainStep
from ..sae import KINDS, Sae, SaeConfig
from ..specs import TrainSae
from .initial import first_weights, input_scale
from .losses import LOSSES, Outcome, Terms, Weights
from .schedules import default_lr, learning_rate, sparsity

CLIP = 1.0
"""Largest norm of a step's whole gradient."""

THRESHOLD_RATE = 0.01
"""How fast BatchTopK's threshold follows the smallest activation kept."""

_FREE = ("name", "checkpoint_every")
"""Fields of a spec that may differ when a run is taken up again."""


def train(trainer: "Trainer", batches: Iterable[Float[Tensor, "batch d_in"]]) -> Iterator[TrainStep]:
    """Train on batches until the run is complete or they end."""
    for batch in batches:
        if trainer.finished:
            return
        yield trainer.step(batch)


class Trainer:
    """Trains one SAE as a spec says; knows nothing of models, files or data sets.

    The input's scale, the first weights and b_dec come from the first batch and the spec's seed. Everything
    is
    deterministic: the same batches give the same weights, to the bit on one thread, stopped and resumed or
    not.
    """

    def __init__(self, spec: TrainSae, d_in: int, *, device: str | torch.device = "cpu", total_steps: int) -> None:
        if spec.k > spec.d_sae and spec.kind != "relu":
            raise BadValue(f"k is {spec.k}, but d_sae is only {spec.d_sae}", "use a smaller --k or a larger --d-sae")
        self.spec, self.d_in, self.total_steps = spec, d_in, total_steps
        self.device = torch.device(device)
        self.peak_lr = spec.lr or default_lr(spec.d_sae)
        self.dead_after = min(10_000_000, max(total_steps * spec.batch // 10, 4 * spec.batch))
        self.steps = 0
        self.tokens = 0
        self.scale = 1.0
        self.threshold = 0.0
        self.silent = torch.zeros(spec.d_sae, dtype=torch.long, device=self.device)
        self._weights: Weights | None = None
        self._adam: torch.optim.Adam | None = None

    @property
    def finished(self) -> bool:
        return self.steps >= self.total_steps

    def step(self, x: Float[Tensor, "batch d_in"]) -> TrainStep:
        """Learn from one batch, in the model's own units.

        Raises Mismatch where the width is wrong, BadValue where a number is not finite; the weights are then
        as before.
        """
        x = self._checked(x)
        weights, adam = self._ready(x)
        z = x / self.scale
        lr = learning_rate(self.steps, self.total_steps, self.peak_lr)
        adam.param_groups[0]["lr"] = lr

        outcome = LOSSES[self.spec.kind](weights, z, self._terms())
        loss = float(outcome.loss.detach())
        self._check(loss, "loss")
        adam.zero_grad()
        outcome.loss.backward()
        if self._unit_norm:
            _remove_radial_part(weights.decoder)
        self._check(float(torch.nn.utils.clip_grad_norm_(self._parameters(), CLIP)), "gradient")
        adam.step()
        if self._unit_norm:
            _to_unit_norm(weights.decoder)
        if weights.threshold is not None:
            weights.threshold.data.clamp_(min=0)

        self.steps += 1
        self.tokens += len(x)
        active = self._count(outcome, len(x))
        return TrainStep(
            step=self.steps,
            tokens=self.tokens,
            loss=loss,
            fvu=_fvu(z, outcome.z_hat.detach()),
            l0=active / len(x),
            dead=int(self._dead().sum()),
            lr=lr,
        )

    def sae(self, metadata: dict[str, Any] | None = None) -> Sae:
        """The SAE as it stands, for activations in their own units, decoder rows of unit norm."""
        if self._weights is None:
            raise BadValue("nothing has been trained yet", "take at least one step first")
        weights, spec = self._weights, self.spec
        encoder, b_enc = weights.encoder.detach(), weights.b_enc.detach()
        decoder = weights.decoder.detach()
        norms = decoder.norm(dim=1).clamp(min=1e-12)
        folded = {
            "W_enc": (encoder.T * norms).contiguous() if not self._unit_norm else encoder.T.contiguous(),
            "b_enc": b_enc * self.scale * (1.0 if self._unit_norm else norms),
            "W_dec": decoder.clone() if self._unit_norm else decoder / norms[:, None],
            "b_dec": weights.b_dec.detach() * self.scale,
        }
        if weights.threshold is not None:
            folded["threshold"] = weights.threshold.detach() * self.scale
        elif spec.kind == "batchtopk":
            folded["threshold"] = torch.full_like(b_enc, self.threshold * self.scale)
        cfg = SaeConfig(
            kind=spec.kind,
            d_in=self.d_in,
            d_sae=spec.d_sae,
            k=spec.k if spec.kind == "topk" else None,
            model=spec.model,
            hookpoint=spec.hookpoint,
            metadata=self._metadata() | (metadata or {}),
        )
        return KINDS[spec.kind](cfg, folded)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Everything a run is: tensors, and facts that JSON can hold."""
        tensors = {"silent": self.silent.clone()}
        if self._weights is not None and self._adam is not None:
            for name, parameter in self._weights.parameters().items():
                tensors[name] = parameter.detach().clone()
                for key, value in self._adam.state.get(parameter, {}).items():
                    tensors[f"{name}.{key}"] = value.clone()
        facts = {
            "spec": self.spec.model_dump(mode="json"),
            "d_in": self.d_in,
            "total_steps": self.total_steps,
            "steps": self.steps,
            "tokens": self.tokens,
            "scale": self.scale,
            "threshold": self.threshold,
        }
        return tensors, facts

    def load_state(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Take up a run where it was. Raises Mismatch where it is a run of something else."""
        ours = {**self.spec.model_dump(mode="json"), "d_in": self.d_in, "total_steps": self.total_steps}
        theirs = {**facts["spec"], "d_in": facts["d_in"], "total_steps": facts["total_steps"]}
        for key in ours:
            if key not in _FREE and ours[key] != theirs.get(key):
                raise Mismatch(
                    f"the run to resume has {key} {theirs.get(key)!r}, this one {ours[key]!r}",
                    "resume with the same settings, or start anew",
                )
        self.steps, self.tokens = facts["steps"], facts["tokens"]
        self.scale, self.threshold = facts["scale"], facts["threshold"]
        self.silent = tensors["silent"].to(self.device)
        if "encoder" not in tensors:
            return
        names = ("encoder", "b_enc", "decoder", "b_dec", "threshold")
        self._begin(Weights(**{name: tensors[name].to(self.device) for name in names if name in tensors}))
        assert self._weights is not None
        assert self._adam is not None
        for name, parameter in self._weights.parameters().items():
            self._adam.state[parameter] = {
                key: tensors[f"{name}.{key}"].to(self.device) for key in ("step", "exp_avg", "exp_avg_sq")
            }

    @property
    def _unit_norm(self) -> bool:
        """ReLU's penalty is weighted with the decoder's norms, so they are free; the other kinds' are held at
        1.
        """
        return self.spec.kind != "relu"

    def _ready(self, x: Tensor) -> tuple[Weights, torch.optim.Adam]:
        if self._weights is None:
            self.scale = input_scale(x)
            spec = self.spec
            self._begin(first_weights(x / self.scale, spec.kind, spec.d_sae, spec.k, spec.seed))
        assert self._weights is not None
        assert self._adam is not None
        return self._weights, self._adam

    def _begin(self, weights: Weights) -> None:
        for name, tensor in weights.parameters().items():
            setattr(weights, name, tensor.detach().clone().requires_grad_())
        self._weights = weights
        self._adam = torch.optim.Adam(self._parameters(), lr=self.peak_lr, betas=(0.9, 0.999), fused=True)

    def _parameters(self) -> list[Tensor]:
        assert self._weights is not None
        return list(self._weights.parameters().values())

    def _terms(self) -> Terms:
        return Terms(
            k=self.spec.k,
            l1=self.spec.l1,
            sparsity=sparsity(self.steps, self.total_steps),
            dead=self._dead(),
            guess=0.8 * self.threshold,
        )

    def _dead(self) -> Tensor:
        return self.silent >= self.dead_after

    def _count(self, outcome: Outcome, rows: int) -> int:
        """Note which features were active, and follow BatchTopK's threshold; the number of activations."""
        active = outcome.values > 0
        self.silent += rows
        self.silent[outcome.chosen.features[active]] = 0
        if self.spec.kind == "batchtopk" and bool(active.any()):
            least = float(outcome.values[active].min())
            rate = THRESHOLD_RATE if self.steps > 1 else 1.0
            self.threshold += rate * (least - self.threshold)
        return int(active.sum())

    def _checked(self, x: Tensor) -> Tensor:
        if x.ndim != 2 or x.shape[1] != self.d_in:
            raise Mismatch(
                f"a batch has shape {list(x.shape)}, but this SAE reads rows of {self.d_in}",
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
        details: dict[str, Any] = {"relu": {"l1_coefficient": spec.l1}}.get(spec.kind, {"k": spec.k})
        return {
            "dataset_path": spec.dataset,
            "context_size": spec.context,
            "seed": spec.seed,
            "training_tokens": self.tokens,
            "training_architecture": "standard" if spec.kind == "relu" else spec.kind,
            "training_architecture_details": details,
            "exclude_special_tokens": not spec.include_special,
            "prepend_bos": True,
        }


def _remove_radial_part(decoder: Tensor) -> None:
    """Take out of the gradient what would only lengthen or shorten a unit row."""
    assert decoder.grad is not None
    rows = decoder.detach()
    decoder.grad.addcmul_((decoder.grad * rows).sum(1, keepdim=True), rows, value=-1)


@torch.no_grad()
def _to_unit_norm(decoder: Tensor) -> None:
    decoder /= decoder.norm(dim=1, keepdim=True).clamp(min=1e-12)


def _fvu(z: Tensor, z_hat: Tensor) -> float:
    variance = float((z - z.mean(0)).square().sum())
    return float((z_hat - z).square().sum()) / variance if variance > 0 else float("nan")
