"""Our losses and gradients against those of other libraries' trainers, on the same weights and the same batch.

Written by benchmarks/peers/training_golden.py in float64, term by term. A factor is how many times ours theirs is.
Where theirs differs in form, a test of its own says how; docs/training.md has these differences as a table.
"""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from saescope.training.kinds import OBJECTIVES, Batch, Objective, Outcome, Terms, Weights
from saescope.training.kinds.jumprelu import BANDWIDTH
from training.synthetic import spec

GOLDEN = Path(__file__).parents[1] / "golden" / "training"
GIVEN = load_file(GOLDEN / "inputs.safetensors")
D_SAE, D_IN = GIVEN["encoder"].shape
K, L1 = 8, 0.3
MATRYOSHKA = {"prefixes": (8, 16, 32)}
ANNEALED = {"anneal_from": 0.0, "p_end": 0.2}
STEPS = 4
"""Of a whole run, of which two are made: p is 0.6 then."""

EXACT = {"rtol": 1e-9, "atol": 1e-12}
IN_FLOAT32 = {"rtol": 1e-5, "atol": 1e-7}
"""In float32 whatever they are given: AuxK, L0 and bandwidth of dictionary_learning, thresholds of SAELens."""

BATCH = Batch(GIVEN["x"], GIVEN["x"], centred=True)
FIRST = Terms(step=0, sparsity=0.0, dead=torch.zeros_like(GIVEN["dead"]))
"""Of a run's first step, with nothing dead and no penalty yet."""

Term = dict[str, Tensor]
"""`loss` and the gradient of every parameter, by name."""


def theirs(case: str) -> dict[str, Term]:
    """Each term of a library's loss."""
    terms: dict[str, Term] = {}
    for key, tensor in load_file(GOLDEN / f"{case}.safetensors").items():
        what, _, rest = key.partition(".")
        term, _, parameter = rest.partition(".")
        if rest:
            terms.setdefault(term, {})[parameter or what] = tensor
    return terms


def number(case: str, name: str) -> float:
    return float(load_file(GOLDEN / f"{case}.safetensors")[name])


def objective(kind: str, **changes: object) -> Objective:
    return OBJECTIVES[kind](spec(kind, **{"d_sae": D_SAE, "k": K, "l1": L1, **changes}), STEPS)


def weights(kind: str, decoder: str = "decoder", b_enc: str = "b_enc", skip: bool = False) -> Weights:
    names = {"encoder": "encoder", "b_enc": b_enc, "decoder": decoder, "b_dec": "b_dec"}
    names |= {"jumprelu": {"threshold": "threshold"}, "gated": {"r_mag": "r_mag", "b_mag": "b_mag"}}.get(kind, {})
    names |= {"skip": "skip"} if skip else {}
    return Weights(**{name: GIVEN[source].clone().requires_grad_() for name, source in names.items()})


def measured(asked: Objective, given: Weights, batch: Batch, terms: Terms) -> Term:
    found: Outcome = asked.loss(given, batch, terms)
    parameters = given.parameters()
    grads = torch.autograd.grad(found.loss, list(parameters.values()), allow_unused=True)
    zeros = {name: torch.zeros_like(parameter) for name, parameter in parameters.items()}
    present = {name: grad for name, grad in zip(parameters, grads, strict=True) if grad is not None}
    return {"loss": found.loss.detach(), **zeros, **present}


def ours(
    kind: str, *, decoder: str = "decoder", b_enc: str = "b_enc", y: Tensor | None = None, centred: bool = True,
    **changes: object,
) -> dict[str, Term]:  # fmt: skip
    """Each term of our loss: reconstruction alone, and what penalty, AuxK and Multi-TopK add to it."""
    if y is not None:
        changes["hookpoint_out"] = "layers.1.mlp_out"
    given = weights(kind, decoder, b_enc, bool(changes.get("skip")))
    batch = Batch(GIVEN["x"], GIVEN["x"] if y is None else y, centred)
    multi, plain = bool(changes.pop("multi_topk", False)), objective(kind, **changes)
    nothing = replace(FIRST, step=2)
    base = measured(plain, given, batch, nothing)
    found = {
        "penalty": measured(plain, given, batch, replace(nothing, sparsity=1.0)),
        "auxk": measured(plain, given, batch, replace(nothing, dead=GIVEN["dead"])),
    }
    if multi:
        found["multi_topk"] = measured(objective(kind, multi_topk=True, **changes), given, batch, nothing)
    added = {term: {name: tensor[name] - base[name] for name in base} for term, tensor in found.items()}
    return {"reconstruction": base, **added}


def agree(mine: Term, other: Term, factor: float, without: tuple[str, ...] = (), *, exact: bool = True) -> None:
    """Loss and gradients are ours times the factor; a parameter that theirs does not reach has none in ours."""
    for name, tensor in mine.items():
        if name not in without:
            expected = other.get(name, torch.zeros_like(tensor))
            tolerance = EXACT if exact and name != "threshold" else IN_FLOAT32
            torch.testing.assert_close(tensor * factor, expected, **tolerance, msg=lambda m, n=name: f"{n}: {m}")


# ---- what their terms are, in ours ----------------------------------------------------------------------------------


def variance(y: Tensor) -> float:
    """sum ||y - mean(y)||^2 / batch: what our FVU is to their mean ||e||^2."""
    return float((y - y.mean(0)).square().sum() / len(y))


def residual(kind: str, b_enc: str = "b_enc", **changes: object) -> Tensor:
    """What our reconstruction leaves over."""
    outcome = objective(kind, **changes).loss(weights(kind, b_enc=b_enc), BATCH, FIRST)
    return (GIVEN["x"] - outcome.y_hat).detach()


def projected(term: Term, decoder: Tensor) -> Term:
    """Without what would lengthen or shorten a decoder row, which is taken out before a step is made."""
    grad = term["decoder"]
    return {**term, "decoder": grad - (grad * decoder).sum(1, keepdim=True) * decoder}


VARIANCE = variance(GIVEN["x"])
GROUPS = 4

RECONSTRUCTIONS = [
    ("dictionary_learning-standard", "relu", {}, 1),
    ("dictionary_learning-standard_april_update", "relu", {"decoder": "decoder_free"}, 1),
    ("dictionary_learning-p_anneal", "p_anneal", ANNEALED, 1),
    ("dictionary_learning-gated", "gated", {}, 1),
    ("dictionary_learning-topk", "topk", {}, VARIANCE),
    ("dictionary_learning-topk_closed", "topk", {"b_enc": "b_enc_closed"}, VARIANCE),
    ("dictionary_learning-batchtopk", "batchtopk", {}, VARIANCE),
    ("dictionary_learning-matryoshka", "matryoshka", MATRYOSHKA, VARIANCE / GROUPS),
    ("dictionary_learning-jumprelu", "jumprelu", {"centred": False}, VARIANCE),
    ("saelens-standard", "relu", {"decoder": "decoder_free"}, 1),
    ("saelens-topk", "topk", {}, VARIANCE),
    ("saelens-batchtopk", "batchtopk", {}, VARIANCE),
    ("saelens-matryoshka", "matryoshka", MATRYOSHKA, VARIANCE * GROUPS),
    ("saelens-jumprelu_step", "jumprelu", {"penalty": "step"}, VARIANCE),
    ("saelens-jumprelu_tanh", "jumprelu", {"penalty": "tanh"}, VARIANCE),
    ("sparsify-topk", "topk", {}, 1),
    ("sparsify-multi_topk", "topk", {}, 1),
    ("sparsify-skip_transcoder", "topk", {"y": GIVEN["y"], "centred": False, "skip": True}, 1),
]


@pytest.mark.parametrize(("case", "kind", "options", "factor"), RECONSTRUCTIONS)
def test_reconstruction_terms_are_theirs_up_to_a_known_factor(
    case: str, kind: str, options: dict[str, object], factor: float
) -> None:
    agree(ours(kind, **options)["reconstruction"], theirs(case)["reconstruction"], factor)


PENALTIES = [
    ("dictionary_learning-standard_april_update", "relu", {"decoder": "decoder_free"}, 1),
    ("dictionary_learning-p_anneal", "p_anneal", ANNEALED, 1),
    ("dictionary_learning-gated", "gated", {}, 1),
    ("saelens-standard", "relu", {"decoder": "decoder_free"}, 1),
    ("saelens-jumprelu_step", "jumprelu", {"penalty": "step"}, D_IN),
]


@pytest.mark.parametrize(("case", "kind", "options", "factor"), PENALTIES)
def test_penalties_are_theirs_up_to_a_known_factor(
    case: str, kind: str, options: dict[str, object], factor: float
) -> None:
    agree(ours(kind, **options)["penalty"], theirs(case)["penalty"], factor)


@pytest.mark.parametrize(
    ("case", "kind", "options", "factor"),
    [
        ("dictionary_learning-standard", "relu", {}, 1),  # ours weighs by decoder norms
        ("saelens-jumprelu_tanh", "jumprelu", {"penalty": "tanh"}, D_IN),  # theirs does, and the next too
        ("saelens-gated", "gated", {}, 1),
    ],
)
def test_penalties_weighed_by_decoder_norms_are_the_same_on_unit_rows(
    case: str, kind: str, options: dict[str, object], factor: float
) -> None:
    mine, other = ours(kind, **options)["penalty"], theirs(case)["penalty"]
    other.setdefault("decoder", torch.zeros_like(GIVEN["decoder"]))
    agree(projected(mine, GIVEN["decoder"]), projected(other, GIVEN["decoder"]), factor)


# ---- AuxK ----------------------------------------------------------------------------------------------------------


WITH_AUXK: dict[str, dict[str, object]] = {"topk": {}, "batchtopk": {}, "matryoshka": MATRYOSHKA}


def by_library(library: str, r: Tensor) -> float:
    """Ours divides by sum ||r||^2 and weighs by 1 / 32."""
    if library == "dictionary_learning":
        return float(r.square().sum() / (r - r.mean(0)).square().sum())
    if library == "saelens":
        return 32 * float(r.square().sum() / len(r))
    return float(r.square().sum() / (GIVEN["x"] - GIVEN["x"].mean(0)).square().sum())


@pytest.mark.parametrize(
    ("library", "kind"),
    [
        *((library, kind) for library in ("dictionary_learning", "saelens") for kind in WITH_AUXK),
        ("sparsify", "topk"),
    ],
)
def test_auxk_is_theirs_where_dead_features_are_above_zero(library: str, kind: str) -> None:
    changes, other = WITH_AUXK[kind], theirs(f"{library}-{kind}")["auxk"]
    # Only sparsify's leaves the encoder out; only ours leaves b_dec out. Tests below say so.
    without = ("encoder", "b_enc") if library == "sparsify" else ("b_dec",)
    factor = by_library(library, residual(kind, **changes))
    agree(ours(kind, **changes)["auxk"], other, factor, without, exact=library != "dictionary_learning")


@pytest.mark.parametrize("case", ["dictionary_learning-topk", "dictionary_learning-batchtopk", "saelens-topk"])
def test_their_auxk_moves_b_dec_through_the_encoder_and_ours_does_not(case: str) -> None:
    other, mine = theirs(case)["auxk"], ours(case.split("-")[1])["auxk"]
    tolerance = EXACT if case.startswith("saelens") else IN_FLOAT32
    torch.testing.assert_close(other["b_dec"], -(other["b_enc"] @ GIVEN["encoder"]), **tolerance)
    torch.testing.assert_close(mine["b_dec"], torch.zeros_like(mine["b_dec"]), **EXACT)
    assert float(other["b_dec"].norm()) > 0


def test_auxk_reaches_features_below_zero_in_ours_and_not_in_dictionary_learning() -> None:
    mine = ours("topk", b_enc="b_enc_closed")["auxk"]
    other = theirs("dictionary_learning-topk_closed")["auxk"]
    for name in ("encoder", "b_enc"):
        assert not other[name].any()
        assert mine[name][GIVEN["dead"]].any()
    factor = by_library("dictionary_learning", residual("topk", "b_enc_closed"))
    torch.testing.assert_close(mine["loss"] * factor, other["loss"], **IN_FLOAT32)


def test_saelens_lets_dead_features_reconstruct_with_negative_activations() -> None:
    other, r = theirs("saelens-topk_closed")["auxk"], residual("topk", "b_enc_closed")
    dead = GIVEN["dead"]
    pre = (GIVEN["x"] - GIVEN["b_dec"]) @ GIVEN["encoder"][dead].T + GIVEN["b_enc_closed"][dead]
    assert bool((pre < 0).all())
    strongest = torch.zeros_like(pre).scatter(1, *reversed(pre.topk(D_IN // 2)))
    torch.testing.assert_close((strongest @ GIVEN["decoder"][dead] - r).square().sum(1).mean(), other["loss"], **EXACT)


@pytest.mark.parametrize("term", ["auxk", "multi_topk"])
def test_sparsify_gives_the_encoder_nothing_to_learn_from_auxk_and_multi_topk(term: str) -> None:
    other, mine = theirs("sparsify-multi_topk")[term], ours("topk", multi_topk=True)[term]
    for name in ("encoder", "b_enc"):
        assert not other[name].any()
        assert mine[name].any()


def test_multi_topk_is_sparsifys_but_for_what_the_encoder_learns() -> None:
    mine, other = ours("topk", multi_topk=True)["multi_topk"], theirs("sparsify-multi_topk")["multi_topk"]
    agree(mine, other, 1, without=("encoder", "b_enc", "b_dec"))
    # b_dec through the encoder's input is in ours, and is what the encoder's gradient says.
    torch.testing.assert_close(mine["b_dec"] + mine["b_enc"] @ GIVEN["encoder"], other["b_dec"], **EXACT)


# ---- where the form differs ----------------------------------------------------------------------------------------


def test_saelens_does_not_freeze_the_decoder_that_gated_reconstructs_by_the_gate_with() -> None:
    mine, other = ours("gated")["reconstruction"], theirs("saelens-gated")
    error, by_gate = other["reconstruction"], other["by_gate"]
    torch.testing.assert_close(mine["loss"], error["loss"] + by_gate["loss"], **EXACT)
    torch.testing.assert_close(mine["encoder"], error["encoder"] + by_gate["encoder"], **EXACT)
    torch.testing.assert_close(mine["b_enc"], by_gate["b_enc"], **EXACT)
    for name in ("r_mag", "b_mag", "decoder"):
        torch.testing.assert_close(mine[name], error[name], **EXACT)
    assert float(by_gate["decoder"].norm()) > 1
    through_input = -(by_gate["b_enc"] @ GIVEN["encoder"])
    torch.testing.assert_close(mine["b_dec"], error["b_dec"] + through_input, **EXACT)


def test_dictionary_learning_counts_l0_for_the_threshold_from_above_only() -> None:
    """Its step is taken at activations, which are zero below the threshold: half of the rectangle is missing."""
    mine, other = ours("jumprelu", centred=False)["penalty"], theirs("dictionary_learning-jumprelu")["penalty"]
    agree(mine, other, 1, without=("threshold",), exact=False)
    above = GIVEN["x"] @ GIVEN["encoder"].T + GIVEN["b_enc"] - GIVEN["threshold"]
    l0 = float((above > 0).sum()) / len(above)
    slope = 2 * (l0 / K - 1) / K / len(above) / BANDWIDTH
    near, half = above.abs() < BANDWIDTH / 2, (above > 0) & (above < BANDWIDTH / 2)
    torch.testing.assert_close(mine["threshold"], -slope * near.sum(0).double(), **EXACT)
    torch.testing.assert_close(other["threshold"], -slope * half.sum(0).double(), **IN_FLOAT32)
    assert int(near.sum()) > 1.5 * int(half.sum())


def test_the_coefficient_after_p_falls_is_dictionary_learnings() -> None:
    asked = objective("p_anneal", **ANNEALED)
    asked.follow(asked.loss(weights("p_anneal"), BATCH, FIRST), steps=1)
    expected = number("dictionary_learning-p_anneal", "coefficient")
    assert math.isclose(L1 * asked.facts["factor"], expected, rel_tol=1e-6)


def test_the_first_threshold_of_batchtopk_is_dictionary_learnings() -> None:
    asked = objective("batchtopk")
    asked.follow(asked.loss(weights("batchtopk"), BATCH, FIRST), steps=1)
    expected = number("dictionary_learning-batchtopk", "threshold")
    assert math.isclose(asked.facts["threshold"], expected, rel_tol=1e-6)
