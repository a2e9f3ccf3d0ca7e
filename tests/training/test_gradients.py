"""The sparse products and every loss against plain float64 autograd on dense matrices."""

import pytest
import torch
from torch import Tensor

from saescope.training import losses, sparse
from saescope.training.losses import BANDWIDTH, LOSSES, Terms, Weights

D_IN, D_SAE, BATCH, K = 10, 48, 32, 4


def weights(kind: str) -> Weights:
    generator = torch.Generator().manual_seed(5)

    def draw(*shape: int, size: float = 1.0) -> Tensor:
        return (torch.randn(*shape, generator=generator, dtype=torch.float64) * size).requires_grad_()

    threshold = (torch.rand(D_SAE, generator=generator, dtype=torch.float64) * 2 + 2).requires_grad_()
    encoder, decoder = draw(D_SAE, D_IN), draw(D_SAE, D_IN, size=0.3)
    return Weights(
        encoder, draw(D_SAE, size=0.1), decoder, draw(D_IN, size=0.2), threshold if kind == "jumprelu" else None
    )


def reference(kind: str, w: Weights, z: Tensor, terms: Terms) -> Tensor:
    """The formulas once more, with nothing but dense matrices."""
    pre = (z - w.b_dec) @ w.encoder.T + w.b_enc
    variance = (z - z.mean(0)).square().sum()
    if kind == "relu":
        f = pre.relu()
        error = (f @ w.decoder + w.b_dec - z).square().sum(1).mean()
        return error + terms.l1 * terms.sparsity * (f * w.decoder.norm(dim=1)).sum(1).mean()
    if kind == "jumprelu":
        assert w.threshold is not None
        # A ramp through the threshold has the rectangle for its derivative; its value is replaced by the step's.
        kernel = ((pre - w.threshold).abs() < BANDWIDTH / 2).double() / BANDWIDTH
        step = (pre > w.threshold).double()
        ramp = -(w.threshold - w.threshold.detach()) * kernel.detach()
        f = pre * step + pre.detach() * 0 + ramp * w.threshold.detach()
        l0 = (step + ramp).sum() / len(z)
        error = (f @ w.decoder + w.b_dec - z).square().sum() / variance
        return error + terms.sparsity * (l0 / terms.k - 1).square()
    everywhere = pre.flatten().topk(terms.k * len(z)).values[-1]
    edge = pre.topk(terms.k).values[:, -1:] if kind == "topk" else everywhere
    f = pre.relu() * (pre >= edge)
    z_hat = f @ w.decoder + w.b_dec
    loss = (z_hat - z).square().sum() / variance
    if bool(terms.dead.any()):
        residual = (z - z_hat).detach()
        dead_pre = (z - w.b_dec.detach()) @ w.encoder[terms.dead].T + w.b_enc[terms.dead]
        strong = dead_pre >= dead_pre.topk(min(4, dead_pre.shape[1])).values[:, -1:]
        kept = (dead_pre.relu().detach() + dead_pre - dead_pre.detach()) * strong
        loss = loss + (residual - kept @ w.decoder[terms.dead]).square().sum() / residual.square().sum() / 32
    return loss


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("dead", [0, 3, 20])
@pytest.mark.parametrize("kind", LOSSES)
def test_gradients_equal_those_of_float64_autograd(
    kind: str, dead: int, dense: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sparse, "DENSE_ABOVE", -1 if dense else 2)
    z = torch.randn(BATCH, D_IN, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    mask = torch.arange(D_SAE) < dead
    terms = Terms(k=K, l1=0.7, sparsity=0.5, dead=mask, guess=0.0)
    ours, theirs = weights(kind), weights(kind)
    LOSSES[kind](ours, z, terms).loss.backward()
    expected = reference(kind, theirs, z, terms)
    expected.backward()
    torch.testing.assert_close(LOSSES[kind](ours, z, terms).loss, expected)
    for name, parameter in ours.parameters().items():
        torch.testing.assert_close(parameter.grad, getattr(theirs, name).grad, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("kind", LOSSES)
def test_float32_gradients_are_close_to_float64(kind: str) -> None:
    z = torch.randn(BATCH, D_IN, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    terms = Terms(k=K, l1=0.7, sparsity=1.0, dead=torch.zeros(D_SAE, dtype=torch.bool), guess=0.0)
    double = weights(kind)
    single = Weights(**{name: p.detach().float().requires_grad_() for name, p in double.parameters().items()})
    LOSSES[kind](double, z, terms).loss.backward()
    LOSSES[kind](single, z.float(), terms).loss.backward()
    for name, parameter in single.parameters().items():
        grad = getattr(double, name).grad
        assert float((parameter.grad - grad).norm() / grad.norm()) < 1e-4, name


@pytest.mark.parametrize("guess", [0.0, 0.5, 1e9])
def test_the_strongest_of_a_batch_do_not_depend_on_the_guess(guess: float) -> None:
    pre = torch.randn(20, 16, generator=torch.Generator().manual_seed(2))
    rows, features = losses.strongest(pre, 60, guess)
    expected = set(pre.flatten().topk(60).indices.tolist())
    assert set((rows * 16 + features).tolist()) == expected


def test_ties_in_a_batch_are_broken_by_the_first() -> None:
    pre = torch.ones(4, 8)
    pre[3, 7] = 2
    rows, features = losses.strongest(pre, 3)
    assert list(zip(rows.tolist(), features.tolist(), strict=True)) == [(0, 0), (0, 1), (3, 7)]


def test_fewer_positive_entries_than_wanted_are_all_taken() -> None:
    pre = torch.full((4, 8), -1.0)
    pre[1, 2] = 3
    rows, features = losses.strongest(pre, 10, guess=5.0)
    assert (rows.tolist(), features.tolist()) == ([1], [2])
