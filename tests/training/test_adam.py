"""A step of Adam: as compiled loops, as tensors, and by torch's own optimizer."""

import pytest
import torch

from saescope.training import adam
from saescope.training.adam import Adam


def parameters(dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(37, 19, generator=generator)
    return {
        "decoder": (matrix / matrix.norm(dim=1, keepdim=True)).to(dtype).requires_grad_(),
        "encoder": torch.randn(37, 19, generator=generator).to(dtype).requires_grad_(),
        "bias": torch.randn(37, generator=generator).to(dtype).requires_grad_(),
    }


def gradients(step: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(100 + step)
    return {name: torch.randn(each.shape, generator=generator) * 3 for name, each in parameters().items()}


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("unit", ["decoder", None])
def test_ten_steps_equal_those_of_torch_in_float64(compiled: bool, unit: str | None, monkeypatch) -> None:
    monkeypatch.setattr(adam, "_compiled", lambda parameter: compiled)
    ours, theirs = parameters(), parameters(torch.float64)
    mine, reference = Adam(ours, unit), torch.optim.Adam(list(theirs.values()))
    for step in range(10):
        lr = 0.01 * (step + 1)
        for name, grad in gradients(step).items():
            ours[name].grad, theirs[name].grad = grad.clone(), grad.double()
        if unit:
            rows, grad = theirs[unit].detach(), theirs[unit].grad
            assert grad is not None
            grad -= (grad * rows).sum(1, keepdim=True) * rows
        expected = float(torch.nn.utils.clip_grad_norm_(theirs.values(), 1.0))
        reference.param_groups[0]["lr"] = lr
        reference.step()
        if unit:
            theirs[unit].data /= theirs[unit].data.norm(dim=1, keepdim=True)
        norm = mine.project()
        assert norm == pytest.approx(expected, rel=1e-6)
        mine.step(lr, min(1.0, 1.0 / (norm + 1e-6)))
        for name, parameter in ours.items():
            torch.testing.assert_close(parameter.double(), theirs[name], rtol=1e-4, atol=2e-6)


def test_a_gradient_that_is_not_finite_is_told_before_anything_moves() -> None:
    found = parameters()
    optimizer = Adam(found, "decoder")
    for name, grad in gradients(0).items():
        found[name].grad = grad
    gradient = found["encoder"].grad
    assert gradient is not None
    gradient[3, 4] = float("nan")
    before = {name: each.detach().clone() for name, each in found.items()}
    assert not optimizer.project() < float("inf")
    assert all(torch.equal(each, before[name]) for name, each in found.items())


def test_threads_change_nothing(monkeypatch) -> None:
    results = []
    for threads in (1, 3):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        found = parameters()
        optimizer = Adam(found, "decoder")
        for name, grad in gradients(0).items():
            found[name].grad = grad
        optimizer.step(0.1, 1.0 / optimizer.project())
        results.append(found)
    assert all(torch.equal(results[0][name], results[1][name]) for name in results[0])
