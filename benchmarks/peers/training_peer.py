"""One other library's trainer on activations in a file: `python training_peer.py NAME KIND FILE --d-sae N --steps N`.

Run by `benchmarks/training.py --peers` in the environment of `formats.py`. The library's own modules, losses, gradient
hooks and Adam, in a plain loop; no data loading, no logging. Prints one line of JSON.
"""

import argparse
import json
import os
import resource
import sys
from pathlib import Path
from typing import Any

os.environ["SPARSIFY_DISABLE_TRITON"] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import torch

from training import BATCH, K, timed

D_IN, LR = 576, 8e-4


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
    given = parser.parse_args()
    torch.manual_seed(0)
    x = torch.from_numpy(np.load(given.file, allow_pickle=False))
    x = x / ((x.square().sum(1).mean() / D_IN) ** 0.5)  # the units that each library asks for
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    make = {"sparsify": sparsify, "dictionary_learning": dictionary_learning, "sae_lens": sae_lens}[given.name]
    step, look = make(given.kind, given.d_sae, given.steps)
    answer = timed(x, given.steps, step)
    answer.pop("last")
    last = look(x[-BATCH:])
    answer["peak_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
    print(json.dumps({**answer, "fvu": last.fvu, "l0": last.l0, "dead": last.dead}))


def sparsify(kind: str, d_sae: int, steps: int) -> Any:
    from sparsify import SparseCoder, SparseCoderConfig

    coder = SparseCoder(D_IN, SparseCoderConfig(num_latents=d_sae, k=K), dtype=torch.float32)
    adam = torch.optim.Adam(coder.parameters(), lr=LR)

    def step(x: torch.Tensor) -> None:
        coder.set_decoder_norm_to_unit_norm()
        out = coder(x)
        out.fvu.backward()
        torch.nn.utils.clip_grad_norm_(coder.parameters(), 1.0)
        coder.remove_gradient_parallel_to_decoder_directions()
        adam.step()
        adam.zero_grad()

    def look(x: torch.Tensor) -> Last:
        with torch.no_grad():
            return Last(x, coder(x).sae_out, float(K))

    return step, look


def dictionary_learning(kind: str, d_sae: int, steps: int) -> Any:
    import types

    sys.modules.setdefault("nnsight", types.ModuleType("nnsight"))
    sys.modules["nnsight"].LanguageModel = object  # type: ignore[attr-defined]  # of its buffer, unused here
    from dictionary_learning.trainers import BatchTopKTrainer, StandardTrainer, TopKTrainer

    shared: dict[str, Any] = {
        "steps": 10 * steps, "activation_dim": D_IN, "dict_size": d_sae, "layer": 12, "lm_name": "m",
        "warmup_steps": 1, "device": "cpu", "seed": 0,
    }  # fmt: skip
    if kind == "relu":
        trainer = StandardTrainer(**shared, lr=LR, l1_penalty=0.04, sparsity_warmup_steps=None)
    else:
        trainer = {"topk": TopKTrainer, "batchtopk": BatchTopKTrainer}[kind](**shared, k=K)
    count = 0

    def step(x: torch.Tensor) -> None:
        nonlocal count
        trainer.update(count, x)
        count += 1

    def look(x: torch.Tensor) -> Last:
        with torch.no_grad():
            x_hat, f = trainer.ae(x, output_features=True)
            return Last(x, x_hat, float((f > 0).sum(1).float().mean()))

    return step, look


def sae_lens(kind: str, d_sae: int, steps: int) -> Any:
    from sae_lens import saes as lens
    from sae_lens.saes.sae import TrainStepInput

    names = {"topk": "TopK", "batchtopk": "BatchTopK", "jumprelu": "JumpReLU", "relu": "Standard"}
    config = getattr(lens, f"{names[kind]}TrainingSAEConfig")
    extra = {"k": K} if "topk" in kind else {"l1_coefficient": 5.0} if kind == "relu" else {"l0_coefficient": 5.0}
    sae = getattr(lens, f"{names[kind]}TrainingSAE")(config(d_in=D_IN, d_sae=d_sae, **extra))
    adam = torch.optim.Adam(sae.parameters(), lr=LR)
    dead = torch.zeros(d_sae, dtype=torch.bool)
    count = 0

    def given(x: torch.Tensor) -> Any:
        coefficients = {"l1": 5.0} if kind == "relu" else {"l0": 5.0} if kind == "jumprelu" else {}
        return TrainStepInput(sae_in=x, coefficients=coefficients, dead_neuron_mask=dead, n_training_steps=count,
                              is_logging_step=False)  # fmt: skip

    def step(x: torch.Tensor) -> None:
        nonlocal count
        out = sae.training_forward_pass(given(x))
        adam.zero_grad()
        out.loss.backward()
        torch.nn.utils.clip_grad_norm_(sae.parameters(), 1.0)
        adam.step()
        count += 1

    def look(x: torch.Tensor) -> Last:
        with torch.no_grad():
            out = sae.training_forward_pass(given(x))
            features = out.feature_acts
            features = features.to_dense() if features.is_sparse else features
            return Last(x, out.sae_out, float((features > 0).sum(1).float().mean()))

    return step, look


if __name__ == "__main__":
    main()
