"""Run by training_golden.py in a library's own environment: its terms of the loss and their gradients.

    python training_losses.py LIBRARY FOLDER

FOLDER/inputs.safetensors holds batch and weights, with features as rows. One file per case comes out: `loss.TERM`, its
weight in the loss included, and `grad.TERM.PARAMETER`, turned to the inputs' shapes; a parameter that a term does not
reach is left out. What a trainer does to gradients afterwards (projection, clipping) is not in it.
"""

import os
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

warnings.filterwarnings("ignore")
os.environ["SPARSIFY_DISABLE_TRITON"] = "1"  # its kernels need a GPU

K, L1, BANDWIDTH, AUXK, P = 8, 0.3, 0.1, 1 / 32, 0.6
GROUPS = (8, 8, 16, 32)
LONG_AGO = 10_000_000

Inputs = dict[str, Tensor]
Terms = dict[str, Tensor]
Case = tuple[str, Terms, dict[str, nn.Parameter], Terms]
"""Name, terms, parameters by the inputs' names, and further numbers."""


# ---- dictionary_learning -------------------------------------------------------------------------------------------


def dictionary_learning(given: Inputs) -> Iterator[Case]:
    sys.modules["nnsight"] = types.ModuleType("nnsight")  # its buffer of model activations imports it; losses do not
    sys.modules["nnsight"].LanguageModel = object  # type: ignore[attr-defined]
    from dictionary_learning.trainers import (
        BatchTopKTrainer,
        GatedSAETrainer,
        JumpReluTrainer,
        PAnnealTrainer,
        StandardTrainer,
        TopKTrainer,
    )
    from dictionary_learning.trainers.matryoshka_batch_top_k import MatryoshkaBatchTopKTrainer
    from dictionary_learning.trainers.standard import StandardTrainerAprilUpdate

    x, (d_sae, d_in) = given["x"], given["encoder"].shape
    shared = {
        "steps": 5, "activation_dim": d_in, "dict_size": d_sae, "layer": 0, "lm_name": "none",
        "warmup_steps": 0, "device": "cpu",
    }  # fmt: skip
    penalised = {**shared, "sparsity_warmup_steps": None}

    def trainer_of(kind: Callable[..., object], names: dict[str, str], **options: object):
        trainer = kind(**options)
        trainer.ae.double()
        return trainer, place(trainer.ae, given, names)

    def with_and_without(trainer, coefficient: str) -> Terms:
        """Reconstruction, and what the penalty adds."""
        whole = trainer.loss(x, step=0)
        setattr(trainer, coefficient, 0.0)
        rest = trainer.loss(x, step=0)
        return {"reconstruction": rest, "penalty": whole - rest}

    def alive_and_dead(trainer) -> Terms:
        """Reconstruction, and what AuxK adds."""
        rest = trainer.loss(x, step=0)
        trainer.num_tokens_since_fired[given["dead"]] = LONG_AGO
        return {"reconstruction": rest, "auxk": trainer.loss(x, step=0) - rest}

    linear = {"encoder.weight": "encoder", "encoder.bias": "b_enc", "decoder.weight": "decoder"}
    plain = {"W_enc": "encoder", "b_enc": "b_enc", "W_dec": "decoder", "b_dec": "b_dec"}

    trainer, parameters = trainer_of(StandardTrainer, linear | {"bias": "b_dec"}, **penalised, l1_penalty=L1)
    yield "standard", with_and_without(trainer, "l1_penalty"), parameters, {}

    names = linear | {"decoder.weight": "decoder_free", "bias": "b_dec"}
    trainer, parameters = trainer_of(StandardTrainerAprilUpdate, names, **penalised, l1_penalty=L1)
    yield "standard_april_update", with_and_without(trainer, "l1_penalty"), parameters, {}

    trainer, parameters = trainer_of(
        PAnnealTrainer, linear | {"bias": "b_dec"}, **penalised, initial_sparsity_penalty=L1, sparsity_function="Lp^p",
        anneal_start=0, anneal_end=4, n_sparsity_updates=5, p_end=0.2, sparsity_queue_length=1,
    )  # fmt: skip
    trainer.loss(x, step=0)
    trainer.loss(x, step=1)
    assert abs(trainer.p - 0.8) < 1e-6
    further = {"coefficient": torch.tensor(trainer.sparsity_coeff)}
    trainer.p, trainer.sparsity_coeff, trainer.next_p = P, L1, None
    trainer.sparsity_update_steps = torch.tensor([])
    yield "p_anneal", with_and_without(trainer, "sparsity_coeff"), parameters, further

    for name, bias in (("topk", "b_enc"), ("topk_closed", "b_enc_closed")):
        names = linear | {"encoder.bias": bias, "b_dec": "b_dec"}
        trainer, parameters = trainer_of(TopKTrainer, names, **shared, k=K, auxk_alpha=AUXK)
        yield name, alive_and_dead(trainer), parameters, {}

    trainer, parameters = trainer_of(
        BatchTopKTrainer, linear | {"b_dec": "b_dec"}, **shared, k=K, auxk_alpha=AUXK, threshold_start_step=-1
    )
    terms = alive_and_dead(trainer)
    yield "batchtopk", terms, parameters, {"threshold": trainer.ae.threshold}

    fractions = [size / d_sae for size in GROUPS]
    trainer, parameters = trainer_of(
        MatryoshkaBatchTopKTrainer, plain, **shared, k=K, auxk_alpha=AUXK, group_fractions=fractions
    )
    yield "matryoshka", alive_and_dead(trainer), parameters, {}

    names = {
        "encoder.weight": "encoder", "gate_bias": "b_enc", "decoder.weight": "decoder", "decoder_bias": "b_dec",
        "r_mag": "r_mag", "mag_bias": "b_mag",
    }  # fmt: skip
    trainer, parameters = trainer_of(GatedSAETrainer, names, **penalised, l1_penalty=L1)
    yield "gated", with_and_without(trainer, "l1_penalty"), parameters, {}

    names = plain | {"threshold": "threshold"}
    trainer, parameters = trainer_of(
        JumpReluTrainer, names, **penalised, bandwidth=BANDWIDTH, sparsity_penalty=1.0, target_l0=K
    )
    yield "jumprelu", with_and_without(trainer, "sparsity_coefficient"), parameters, {}


# ---- SAELens -------------------------------------------------------------------------------------------------------


def saelens(given: Inputs) -> Iterator[Case]:
    from sae_lens.saes import batchtopk_sae, gated_sae, jumprelu_sae, matryoshka_batchtopk_sae, standard_sae, topk_sae
    from sae_lens.saes.sae import TrainStepInput

    x, (d_sae, d_in) = given["x"], given["encoder"].shape
    shared = {"d_in": d_in, "d_sae": d_sae, "dtype": "float64", "device": "cpu", "decoder_init_norm": None}
    plain = {"W_enc": "encoder", "b_enc": "b_enc", "W_dec": "decoder", "b_dec": "b_dec"}

    def case(name: str, module: types.ModuleType, kind: str, names: dict[str, str], **options: object) -> Case:
        config = getattr(module, f"{kind}TrainingSAEConfig")(**shared, **options)
        sae = getattr(module, f"{kind}TrainingSAE")(config)
        parameters = place(sae, given, names)
        step = TrainStepInput(x, {"l1": L1, "l0": L1}, given["dead"], n_training_steps=0, is_logging_step=False)
        losses = sae.training_forward_pass(step).losses
        inner = [losses.pop(key) for key in list(losses) if key.startswith("inner_mse_loss")]
        terms = {"reconstruction": losses.pop("mse_loss") + sum(inner)}
        return name, terms | {ours[key]: loss for key, loss in losses.items()}, parameters, {}

    ours = {"l1_loss": "penalty", "l0_loss": "penalty", "auxiliary_reconstruction_loss": "auxk"}

    yield case("standard", standard_sae, "Standard", plain | {"W_dec": "decoder_free"}, l1_coefficient=L1)
    yield case("topk", topk_sae, "TopK", plain, k=K)
    yield case("topk_closed", topk_sae, "TopK", plain | {"b_enc": "b_enc_closed"}, k=K)
    yield case("batchtopk", batchtopk_sae, "BatchTopK", plain, k=float(K))
    widths = [sum(GROUPS[: i + 1]) for i in range(len(GROUPS))]
    kind = "MatryoshkaBatchTopK"
    yield case("matryoshka", matryoshka_batchtopk_sae, kind, plain, k=float(K), matryoshka_widths=widths)
    names = plain | {"threshold": "threshold"}
    for mode in ("step", "tanh"):
        options = {"jumprelu_bandwidth": BANDWIDTH, "jumprelu_sparsity_loss_mode": mode, "l0_coefficient": L1}
        yield case(f"jumprelu_{mode}", jumprelu_sae, "JumpReLU", names, **options)
    names = {
        "W_enc": "encoder", "b_gate": "b_enc", "W_dec": "decoder", "b_dec": "b_dec", "r_mag": "r_mag", "b_mag": "b_mag"
    }  # fmt: skip
    ours["auxiliary_reconstruction_loss"] = "by_gate"
    yield case("gated", gated_sae, "Gated", names, l1_coefficient=L1)


# ---- sparsify ------------------------------------------------------------------------------------------------------


def sparsify(given: Inputs) -> Iterator[Case]:
    from sparsify import SparseCoder
    from sparsify.config import SparseCoderConfig

    d_sae, d_in = given["encoder"].shape
    linear = {"encoder.weight": "encoder", "encoder.bias": "b_enc", "W_dec": "decoder", "b_dec": "b_dec"}
    for name, y, changes in (
        ("topk", None, {}),
        ("multi_topk", None, {"multi_topk": True}),
        ("skip_transcoder", given["y"], {"transcode": True, "skip_connection": True}),
    ):
        config = SparseCoderConfig(num_latents=d_sae, k=K, **changes)
        coder = SparseCoder(d_in, config, dtype=torch.float64)
        names = linear | ({"W_skip": "skip"} if config.skip_connection else {})
        parameters = place(coder, given, names)
        out = coder(given["x"], y, dead_mask=given["dead"])
        terms = {"reconstruction": out.fvu, "auxk": AUXK * out.auxk_loss}
        if config.multi_topk:
            terms["multi_topk"] = out.multi_topk_fvu / 8  # as its trainer weighs it
        yield name, terms, parameters, {}


# ---- all -----------------------------------------------------------------------------------------------------------


def place(module: nn.Module, given: Inputs, names: dict[str, str]) -> dict[str, nn.Parameter]:
    """Put the inputs into a module's parameters, all of them; these, by the inputs' names."""
    theirs = dict(module.named_parameters())
    assert theirs.keys() == names.keys(), f"{sorted(theirs)} are not {sorted(names)}"
    for name, parameter in theirs.items():
        value = given[names[name]]
        parameter.data.copy_(value.T if turned(parameter, value) else value)
    return {names[name].removesuffix("_closed").removesuffix("_free"): theirs[name] for name in names}


def turned(parameter: Tensor, value: Tensor) -> bool:
    return parameter.shape != value.shape


def measured(terms: Terms, parameters: dict[str, nn.Parameter], given: Inputs) -> dict[str, Tensor]:
    """Each term and its gradients, in float64."""
    found = {}
    for term, loss in terms.items():
        found[f"loss.{term}"] = loss.detach()
        if not loss.requires_grad:
            continue
        grads = torch.autograd.grad(loss, list(parameters.values()), retain_graph=True, allow_unused=True)
        for name, grad in zip(parameters, grads, strict=True):
            if grad is not None:
                found[f"grad.{term}.{name}"] = grad.T if turned(grad, given[name]) else grad
    return {name: tensor.double().contiguous() for name, tensor in found.items()}


LIBRARIES: dict[str, tuple[str, Callable[[Inputs], Iterator[Case]]]] = {
    "saelens": ("sae-lens", saelens),
    "dictionary_learning": ("dictionary-learning", dictionary_learning),
    "sparsify": ("eai-sparsify", sparsify),
}
"""The package and the cases of each."""


def main() -> None:
    library, folder = sys.argv[1], Path(sys.argv[2])
    torch.set_num_threads(1)
    given = load_file(folder / "inputs.safetensors")
    package, cases = LIBRARIES[library]
    for name, terms, parameters, further in cases(given):
        numbers = measured(terms, parameters, given) | {key: value.double() for key, value in further.items()}
        save_file(numbers, folder / f"{library}-{name}.safetensors", {"written by": f"{package} {version(package)}"})


if __name__ == "__main__":
    main()
