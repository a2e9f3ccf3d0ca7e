import math

import numpy as np
import pytest
import torch

from saescope.sae import Reconstruction, fvu, l0


def test_fvu_is_about_each_dimensions_own_mean() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(500, 3, generator=generator) * torch.tensor([1.0, 5, 0.1]) + torch.tensor([100.0, -40, 7])
    x_hat = x + torch.randn(500, 3, generator=generator)
    error = ((x - x_hat) ** 2).sum().item()
    variance = 500 * np.var(x.double().numpy(), axis=0).sum()
    assert fvu(x, x_hat) == pytest.approx(error / variance)
    assert fvu(x, x) == 0
    assert fvu(x, x.mean(0).expand_as(x)) == pytest.approx(1, rel=1e-4)


def test_l0_counts_what_is_not_zero() -> None:
    assert l0(torch.tensor([[0.0, 1, 2], [0, 0, 3]])) == 1.5


def test_a_stream_gives_what_one_batch_gives_and_merges() -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(300, 4, generator=generator) + 1e4
    x_hat = x + torch.randn(300, 4, generator=generator) * 0.3
    one, left, right = Reconstruction(), Reconstruction(), Reconstruction()
    one.update(x, x_hat, 1200)
    for start in range(0, 300, 70):
        half = left if start < 140 else right
        half.update(x[start : start + 70], x_hat[start : start + 70], 4 * len(x[start : start + 70]))
    left.update(x[:0], x_hat[:0], 0)
    left.merge(right)
    left.merge(Reconstruction())
    assert left.fvu == pytest.approx(one.fvu, rel=1e-9)
    assert left.fvu == pytest.approx(fvu(x, x_hat), rel=1e-9)
    assert (left.l0, left.rows) == (4.0, 300)
    assert left.probe().norm_ratio == pytest.approx(float(x_hat.norm(dim=1).mean() / x.norm(dim=1).mean()), rel=1e-6)


def test_nothing_seen_is_not_a_number() -> None:
    assert math.isnan(Reconstruction().fvu)
    assert math.isnan(Reconstruction().l0)
