"""Every kind's loss and gradients against its paper's formula once more, in float64 on dense matrices."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from saescope.specs import TRAIN_KINDS
from saescope.training import sparse
from saescope.training.kinds import OBJECTIVES, Batch, Objective, Terms, Weights
from saescope.training.kinds.batchtopk import strongest
from saescope.training.kinds.jumprelu import BANDWIDTH, TANH
from training.synthetic import spec

D_IN, D_SAE, BATCH, K, TOTAL = 10, 48, 32, 4, 100
D_OUT = 6


def draw(generator: torch.Generator, *shape: int, size: float = 1.0) -> Tensor:
    return (torch.randn(*shape, generator=generator, dtype=torch.float64) * size).requires_grad_()


def weights(kind: str, d_out: int = D_IN, skip: bool = False) -> Weights:
    g = torch.Generator().manual_seed(5)
    made = Weights(draw(g, D_SAE, D_IN), draw(g, D_SAE, size=0.1), draw(g, D_SAE, d_out, size=0.3), draw(g, d_out))
    if kind == "jumprelu":
        made.threshold = (torch.rand(D_SAE, generator=g, dtype=torch.float64) * 2 + 2).requires_grad_()
    if kind == "gated":
        made.r_mag, made.b_mag = draw(g, D_SAE, size=0.2), draw(g, D_SAE, size=0.2)
    if skip:
        made.skip = draw(g, d_out, D_IN, size=0.1)
    return made


def objective(kind: str, **changes: object) -> Objective:
    fields: dict[str, object] = {"k": K, "d_sae": D_SAE, "l1": 0.7}
    if kind == "crosscoder":
        fields["hookpoint"] = "layers.0.resid_post+layers.1.resid_post"
    return OBJECTIVES[kind](spec(kind, **{**fields, **changes}), TOTAL)


def data(width: int = D_IN, seed: int = 1) -> Tensor:
    return torch.randn(BATCH, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def terms(dead: int = 0, step: int = 60) -> Terms:
    return Terms(step=step, sparsity=0.5, dead=torch.arange(D_SAE) < dead)


# ---- the formulas --------------------------------------------------------------------------------------------------


def fvu(y: Tensor, y_hat: Tensor) -> Tensor:
    return (y_hat - y).square().sum() / (y - y.mean(0)).square().sum()


def mean_error(y: Tensor, y_hat: Tensor) -> Tensor:
    return (y_hat - y).square().sum(1).mean()


def rows_k(pre: Tensor, k: int) -> Tensor:
    return pre.relu() * (pre >= pre.topk(k).values[:, -1:])


def batch_k(pre: Tensor) -> Tensor:
    return pre.relu() * (pre >= pre.flatten().topk(K * BATCH).values[-1])


def auxk(w: Weights, z: Tensor, y: Tensor, y_hat: Tensor, t: Terms, b_dec: Tensor | float) -> Tensor:
    if not bool(t.dead.any()):
        return torch.zeros((), dtype=torch.float64)
    residual = (y - y_hat).detach()
    pre = (z - b_dec) @ w.encoder[t.dead].T + w.b_enc[t.dead]
    strong = pre >= pre.topk(min(4, pre.shape[1])).values[:, -1:]  # 4: the power of two nearest to d_in / 2
    kept = (pre.relu().detach() + pre - pre.detach()) * strong
    return (residual - kept @ w.decoder[t.dead]).square().sum() / residual.square().sum() / 32


def reference(kind: str, o: Objective, w: Weights, z: Tensor, y: Tensor, t: Terms, centred: bool = True) -> Tensor:
    pre = (z - w.b_dec if centred else z) @ w.encoder.T + w.b_enc
    straight = z @ w.skip.T if w.skip is not None else 0.0
    aux_centre = w.b_dec.detach() if centred else 0.0

    def decode(f: Tensor) -> Tensor:
        return f @ w.decoder + w.b_dec + straight

    if kind == "topk":
        y_hat = decode(rows_k(pre, K))
        more = fvu(y, decode(rows_k(pre, 4 * K))) / 8 if o.spec.multi_topk else 0.0
        return fvu(y, y_hat) + more + auxk(w, z, y, y_hat, t, aux_centre)
    if kind == "batchtopk":
        y_hat = decode(batch_k(pre))
        return fvu(y, y_hat) + auxk(w, z, y, y_hat, t, aux_centre)
    if kind == "matryoshka":
        f, ends = batch_k(pre), [3, 6, 12, 24, 48]
        prefixes = [fvu(y, f[:, :end] @ w.decoder[:end] + w.b_dec + straight) for end in ends]
        return torch.stack(prefixes).mean() + auxk(w, z, y, decode(f), t, aux_centre)
    if kind == "jumprelu":
        return _jumprelu(o, w, pre, y, t, decode, z.shape[1])
    f = pre.relu()
    if kind == "relu":
        return mean_error(y, decode(f)) + o.spec.l1 * t.sparsity * (f * w.decoder.norm(dim=1)).sum(1).mean()
    if kind == "crosscoder":
        norms = w.decoder[:, : D_IN // 2].norm(dim=1) + w.decoder[:, D_IN // 2 :].norm(dim=1)
        return mean_error(y, decode(f)) + o.spec.l1 * t.sparsity * (f * norms).sum(1).mean()
    if kind == "p_anneal":
        p = 1 - (t.step - 25) / 75 * 0.8
        return mean_error(y, decode(f)) + o.spec.l1 * t.sparsity * (f[f > 0] ** p).sum() / BATCH
    assert kind == "gated"
    strength = w.r_mag.exp() * (pre - w.b_enc) + w.b_mag
    frozen = f @ w.decoder.detach() + w.b_dec.detach() + (z @ w.skip.detach().T if w.skip is not None else 0.0)
    error = mean_error(y, decode(strength.relu() * (pre > 0))) + mean_error(y, frozen)
    return error + o.spec.l1 * t.sparsity * f.sum(1).mean()


def _jumprelu(
    o: Objective, w: Weights, pre: Tensor, y: Tensor, t: Terms, decode: Callable[[Tensor], Tensor], width: int
) -> Tensor:
    # A ramp through the threshold has the rectangle for its derivative; its value is replaced by the step's.
    kernel = ((pre - w.threshold).abs() < BANDWIDTH / 2).double() / BANDWIDTH
    step = (pre > w.threshold).double()
    ramp = -(w.threshold - w.threshold.detach()) * kernel.detach()
    f = pre * step + ramp * w.threshold.detach()
    if o.spec.penalty == "target":
        penalty = ((step + ramp).sum() / BATCH / K - 1).square()
    elif o.spec.penalty == "step":
        penalty = o.spec.l1 * (step + ramp).sum() / BATCH / width
    else:
        penalty = o.spec.l1 * torch.tanh(TANH * f).sum() / BATCH / width
    return fvu(y, decode(f)) + t.sparsity * penalty


# ---- the tests -----------------------------------------------------------------------------------------------------

CASES = [
    *((kind, {}) for kind in TRAIN_KINDS),
    ("topk", {"multi_topk": True}),
    ("jumprelu", {"penalty": "step"}),
    ("jumprelu", {"penalty": "tanh"}),
]


def same_gradients(ours: Weights, theirs: Weights) -> None:
    for name, parameter in ours.parameters().items():
        expected = getattr(theirs, name).grad
        expected = torch.zeros_like(parameter) if expected is None else expected
        torch.testing.assert_close(parameter.grad, expected, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("dead", [0, 3, 20])
@pytest.mark.parametrize(("kind", "changes"), CASES)
def test_gradients_equal_those_of_float64_autograd(
    kind: str, changes: dict[str, object], dead: int, dense: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sparse, "DENSE_ABOVE", -1 if dense else 2)
    ours, theirs, z = weights(kind), weights(kind), data()
    centred = kind != "crosscoder"
    asked, t = objective(kind, **changes), terms(dead)
    loss = asked.loss(ours, Batch(z, z, centred), t).loss
    loss.backward()
    expected = reference(kind, asked, theirs, z, z, t, centred)
    expected.backward()
    torch.testing.assert_close(loss, expected)
    same_gradients(ours, theirs)


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("kind", [kind for kind in TRAIN_KINDS if kind != "crosscoder"])
def test_a_transcoder_learns_its_target_and_takes_no_bias_from_its_input(kind: str, skip: bool) -> None:
    ours, theirs, z, y = weights(kind, D_OUT, skip), weights(kind, D_OUT, skip), data(), data(D_OUT, seed=2)
    asked, t = objective(kind, hookpoint_out="layers.1.mlp_out", skip=skip), terms(20)
    loss = asked.loss(ours, Batch(z, y, centred=False), t).loss
    loss.backward()
    expected = reference(kind, asked, theirs, z, y, t, centred=False)
    expected.backward()
    torch.testing.assert_close(loss, expected)
    same_gradients(ours, theirs)


@pytest.mark.parametrize("kind", TRAIN_KINDS)
def test_float32_gradients_are_close_to_float64(kind: str) -> None:
    z, centred, asked = data(), kind != "crosscoder", objective(kind)
    double = weights(kind)
    single = Weights(**{name: p.detach().float().requires_grad_() for name, p in double.parameters().items()})
    asked.loss(double, Batch(z, z, centred), terms()).loss.backward()
    asked.loss(single, Batch(z.float(), z.float(), centred), terms()).loss.backward()
    for name, parameter in single.parameters().items():
        grad = getattr(double, name).grad
        assert float((parameter.grad - grad).norm() / grad.norm()) < 1e-4, name


def plain(pre: Tensor) -> tuple[Weights, Batch]:
    """Weights and a batch whose pre-activations are these."""
    width = pre.shape[1]
    one = Weights(torch.eye(width), torch.zeros(width), torch.eye(width), torch.zeros(width))
    return one, Batch(pre, pre, centred=False)


@pytest.mark.parametrize("guess", [0.0, 0.5, 1e9])
def test_the_strongest_of_a_batch_do_not_depend_on_the_guess(guess: float) -> None:
    pre = torch.randn(20, 16, generator=torch.Generator().manual_seed(2))
    found = strongest(*plain(pre), 60, guess)
    assert set((found.rows * 16 + found.features).tolist()) == set(pre.flatten().topk(60).indices.tolist())


def test_ties_in_a_batch_are_broken_by_the_first() -> None:
    pre = torch.ones(4, 8)
    pre[3, 7] = 2
    found = strongest(*plain(pre), 3)
    assert list(zip(found.rows.tolist(), found.features.tolist(), strict=True)) == [(0, 0), (0, 1), (3, 7)]


def test_fewer_positive_entries_than_wanted_are_all_taken() -> None:
    pre = torch.full((4, 8), -1.0)
    pre[1, 2] = 3
    found = strongest(*plain(pre), 10, guess=5.0)
    assert (found.rows.tolist(), found.features.tolist()) == ([1], [2])


def test_a_batch_of_many_tiles_gives_what_one_tile_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = []
    for rows in (7, 512):
        monkeypatch.setattr("saescope.training.kinds.base.TILE_ROWS", rows)
        ours, z = weights("topk"), data()
        answers.append(objective("topk").loss(ours, Batch(z, z, True), terms(3)).loss)
    torch.testing.assert_close(*answers)


def test_p_falls_from_one_and_the_penalty_of_a_batch_stays_as_large() -> None:
    asked = objective("p_anneal")
    assert [asked.p(step) for step in (0, 25, 100)] == [1.0, 1.0, pytest.approx(0.2)]
    w, z = weights("p_anneal"), data()
    t = [Terms(step=step, sparsity=1.0, dead=torch.zeros(D_SAE, dtype=torch.bool)) for step in (60, 61)]
    outcome = asked.loss(w, Batch(z, z, True), t[0])
    error = float((outcome.y_hat.detach() - z).square().sum() / len(z))
    asked.follow(outcome, 61)
    again = asked.loss(w, Batch(z, z, True), t[1])
    assert float(again.loss.detach()) - error == pytest.approx(float(outcome.loss.detach()) - error, rel=1e-6)
