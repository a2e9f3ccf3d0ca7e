"""One other library's trainer on activations in a file: `python training_peer.py NAME KIND FILE --d-sae N --steps N`.

Run by `benchmarks/training.py --peers` and `benchmarks/training_quality.py` in the environment of `formats.py`. The
library's own modules, losses, gradient hooks and Adam, in a plain loop; no data loading, no logging. Prints one line of
JSON. --save FILE: train for quality in place of time, on batches drawn by --seed, the learning rate rising over 5 % of
the steps and falling over the last 20 %, AuxK on where the library has it; the weights go to FILE.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ["SPARSIFY_DISABLE_TRITON"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import torch
from safetensors.torch import save_file

from training import BATCH, K, Product, peak_bytes, timed

D_IN, LR = 576, 8e-4
DEAD_AFTER = 50
"""Steps of silence after which a feature is dead, in training for quality."""


class Last:
    """What the table shows of a step."""

    def __init__(self, x: torch.Tensor, x_hat: torch.Tensor, l0: float) -> None:
        self.fvu = float((x_hat - x).square().sum() / (x - x.mean(0)).square().sum())
        self.l0, self.dead = l0, 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("kind")
    parser.add_argument("file", type=Path)
    parser.add_argument("--d-sae", type=int, required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--lr", type=float, default=LR)
    parser.add_argument("--batch", type=int, default=BATCH)
    parser.add_argument("--save", type=Path)
    given = parser.parse_args()
    torch.manual_seed(given.seed)
    x = torch.from_numpy(np.load(given.file, allow_pickle=False))
    x = x / ((x.square().sum(1).mean() / D_IN) ** 0.5)  # the units that each library asks for
    product = Product(x)
    before = peak_bytes()
    make = {"sparsify": sparsify, "dictionary_learning": dictionary_learning, "sae_lens": sae_lens}[given.name]
    step, look, weights = make(given)
    if given.save:
        draw = torch.Generator().manual_seed(given.seed)
        for _ in range(given.steps):
            step(x[torch.randint(len(x), (given.batch,), generator=draw)])
        save_file({name: tensor.detach().contiguous().clone() for name, tensor in weights().items()}, given.save)
        print("{}")
        return
    answer = timed(product, given.steps, step)
    answer.pop("last")
    last = look(x[-BATCH:])
    answer["peak_bytes"] = peak_bytes() - before
    print(json.dumps({**answer, "fvu": last.fvu, "l0": last.l0, "dead": last.dead}))


def falling(given: argparse.Namespace, adam: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LambdaLR:
    """The learning rate of training for quality; constant for timing."""
    rise, fall = max(1, given.steps // 20), max(1, given.steps // 5)

    def share(step: int) -> float:
        return min(1.0, (step + 1) / rise, max(given.steps - step, 1) / fall) if given.save else 1.0

    return torch.optim.lr_scheduler.LambdaLR(adam, share)


class Silent:
    """Which features have not been active for DEAD_AFTER steps."""

    def __init__(self, d_sae: int) -> None:
        self.steps = torch.zeros(d_sae, dtype=torch.long)

    def note(self, features: torch.Tensor) -> None:
        self.steps += 1
        self.steps[features] = 0

    @property
    def mask(self) -> torch.Tensor:
        return self.steps > DEAD_AFTER


def sparsify(given: argparse.Namespace) -> Any:
    from sparsify import SparseCoder, SparseCoderConfig

    coder = SparseCoder(D_IN, SparseCoderConfig(num_latents=given.d_sae, k=K), dtype=torch.float32)
    adam = torch.optim.Adam(coder.parameters(), lr=given.lr)
    schedule, silent = falling(given, adam), Silent(given.d_sae)

    def step(x: torch.Tensor) -> None:
        if not schedule.last_epoch:
            coder.b_dec.data = x.mean(0)  # as its trainer does with its first batch
        coder.set_decoder_norm_to_unit_norm()
        dead = silent.mask if given.save else None
        out = coder(x, dead_mask=dead if dead is not None and dead.any() else None)
        (out.fvu + out.auxk_loss / 32).backward()
        torch.nn.utils.clip_grad_norm_(coder.parameters(), 1.0)
        coder.remove_gradient_parallel_to_decoder_directions()
        adam.step()
        adam.zero_grad()
        schedule.step()
        silent.note(out.latent_indices.flatten())

    def look(x: torch.Tensor) -> Last:
        with torch.no_grad():
            return Last(x, coder(x).sae_out, float(K))

    def weights() -> dict[str, torch.Tensor]:
        coder.set_decoder_norm_to_unit_norm()
        encoder = coder.encoder
        return {"W_enc": encoder.weight.T, "b_enc": encoder.bias, "W_dec": coder.W_dec, "b_dec": coder.b_dec}

    return step, look, weights


def dictionary_learning(given: argparse.Namespace) -> Any:
    import types

    sys.modules.setdefault("nnsight", types.ModuleType("nnsight"))
    sys.modules["nnsight"].LanguageModel = object  # type: ignore[attr-defined]  # of its buffer, unused here
    from dictionary_learning.trainers import BatchTopKTrainer, StandardTrainer, TopKTrainer

    shared: dict[str, Any] = {
        "steps": given.steps if given.save else 10 * given.steps, "activation_dim": D_IN, "dict_size": given.d_sae,
        "layer": 12, "lm_name": "m", "warmup_steps": max(1, given.steps // 20) if given.save else 1, "device": "cpu",
        "seed": given.seed,
    }  # fmt: skip
    if given.kind == "relu":
        trainer = StandardTrainer(**shared, lr=given.lr, l1_penalty=0.04, sparsity_warmup_steps=None)
    else:
        falls = {"decay_start": given.steps - given.steps // 5} if given.save else {}
        kinds = {"topk": TopKTrainer, "batchtopk": BatchTopKTrainer}
        trainer = kinds[given.kind](**shared, **falls, k=K, lr=given.lr)
        if given.save:
            trainer.dead_feature_threshold = DEAD_AFTER * given.batch
            trainer.threshold_start_step = given.steps // 2
    count = 0

    def step(x: torch.Tensor) -> None:
        nonlocal count
        trainer.update(count, x)
        count += 1

    def look(x: torch.Tensor) -> Last:
        with torch.no_grad():
            x_hat, f = trainer.ae(x, output_features=True)
            return Last(x, x_hat, float((f > 0).sum(1).float().mean()))

    def weights() -> dict[str, torch.Tensor]:
        ae = trainer.ae
        found = {
            "W_enc": ae.encoder.weight.T,
            "b_enc": ae.encoder.bias,
            "W_dec": ae.decoder.weight.T,
            "b_dec": ae.b_dec,
        }
        return found | ({"threshold": ae.threshold.expand(given.d_sae)} if given.kind == "batchtopk" else {})

    return step, look, weights


def sae_lens(given: argparse.Namespace) -> Any:
    from sae_lens import saes as lens
    from sae_lens.saes.sae import TrainStepInput

    names = {"topk": "TopK", "batchtopk": "BatchTopK", "jumprelu": "JumpReLU", "relu": "Standard"}
    kind, d_sae = given.kind, given.d_sae
    config = getattr(lens, f"{names[kind]}TrainingSAEConfig")
    extra = {"k": K} if "topk" in kind else {"l1_coefficient": 5.0} if kind == "relu" else {"l0_coefficient": 5.0}
    sae = getattr(lens, f"{names[kind]}TrainingSAE")(config(d_in=D_IN, d_sae=d_sae, **extra))
    adam = torch.optim.Adam(sae.parameters(), lr=given.lr)
    schedule, silent = falling(given, adam), Silent(d_sae)
    never = torch.zeros(d_sae, dtype=torch.bool)
    count = 0

    def prepared(x: torch.Tensor) -> Any:
        coefficients = {"l1": 5.0} if kind == "relu" else {"l0": 5.0} if kind == "jumprelu" else {}
        return TrainStepInput(
            sae_in=x,
            coefficients=coefficients,
            dead_neuron_mask=silent.mask if given.save else never,
            n_training_steps=count,
            is_logging_step=False,
        )

    def step(x: torch.Tensor) -> None:
        nonlocal count
        if not count and given.save:
            sae.b_dec.data = x.mean(0)
        out = sae.training_forward_pass(prepared(x))
        adam.zero_grad()
        out.loss.backward()
        torch.nn.utils.clip_grad_norm_(sae.parameters(), 1.0)
        adam.step()
        schedule.step()
        count += 1
        if given.save:
            features = out.feature_acts.detach()
            features = features.to_dense() if features.is_sparse else features
            silent.note((features > 0).any(0).nonzero().squeeze(1))

    def look(x: torch.Tensor) -> Last:
        with torch.no_grad():
            out = sae.training_forward_pass(prepared(x))
            features = out.feature_acts
            features = features.to_dense() if features.is_sparse else features
            return Last(x, out.sae_out, float((features > 0).sum(1).float().mean()))

    def weights() -> dict[str, torch.Tensor]:
        norm = sae.W_dec.detach().norm(dim=1)  # of a decoder row: it scales its feature where the library rescales so
        scale = norm if getattr(sae.cfg, "rescale_acts_by_decoder_norm", False) else torch.ones_like(norm)
        found = {"W_enc": sae.W_enc * scale, "b_enc": sae.b_enc * scale, "W_dec": sae.W_dec / scale[:, None]}
        centred = {"centred": torch.tensor(float(sae.cfg.apply_b_dec_to_input))}
        limit = {"threshold": sae.topk_threshold.float().expand(d_sae)} if kind == "batchtopk" else {}
        return found | {"b_dec": sae.b_dec} | centred | limit

    return step, look, weights


if __name__ == "__main__":
    main()
