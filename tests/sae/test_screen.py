"""What the screen lets through against the same product in float64: nothing large is ever missed."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from saescope.sae import KINDS, SaeConfig
from saescope.sae.screen import UNIT, Screen


def an_encoder(seed: int, rows: int, d_in: int, d_sae: int, *, massive: int = 0, shift: float = 0.0):
    """x, encoder and bias; some dimensions of x a hundred times as large as the rest, as in a residual stream."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, d_in, generator=generator)
    x[:, :massive] = x[:, :massive] * 20 + 100
    encoder = torch.randn(d_sae, d_in, generator=generator) / d_in**0.5
    encoder *= torch.rand(d_sae, 1, generator=generator) * 2
    return x, encoder, torch.randn(d_sae, generator=generator) * 0.1 + shift


def exact(x, encoder, bias):
    return x.double() @ encoder.double().T + bias.double()


cases = {
    "seed": st.integers(0, 2**31),
    "rows": st.integers(1, 40),
    "d_in": st.sampled_from([3, 64, 576]),
    "d_sae": st.sampled_from([70, 512, 3001]),
    "massive": st.integers(0, 2),
    "shift": st.sampled_from([0.0, -1.0, -5.0]),
}


@settings(max_examples=80, deadline=None)
@given(**cases, k=st.sampled_from([1, 8, 40]))
def test_the_k_largest_of_each_row(seed, rows, d_in, d_sae, massive, shift, k):
    x, encoder, bias = an_encoder(seed, rows, d_in, d_sae, massive=massive, shift=shift)
    pre = exact(x, encoder, bias)
    values, indices = Screen(encoder, bias, 16).largest(x, k)
    near = 1e-5 * (x.double().abs() @ encoder.double().abs().T + bias.abs()).max(1).values
    positive = values > 0
    rows_of, places = positive.nonzero(as_tuple=True)
    chosen = pre[rows_of, indices[rows_of, places]]
    assert bool(((chosen - values[positive].double()).abs() <= near[rows_of]).all())
    edge = pre.topk(k + 1, 1).values[:, k].clamp(min=0)
    assert bool((chosen >= edge[rows_of] - near[rows_of]).all())
    wanted = (pre.topk(k, 1).values > near[:, None]).sum(1)
    assert bool((positive.sum(1) >= wanted).all())
    assert all(len(set(row[kept].tolist())) == int(kept.sum()) for row, kept in zip(indices, positive, strict=True))


@settings(max_examples=80, deadline=None)
@given(**cases, height=st.sampled_from([0.0, 0.5, 2.0]))
def test_everything_above_a_limit_and_nothing_else(seed, rows, d_in, d_sae, massive, shift, height):
    x, encoder, bias = an_encoder(seed, rows, d_in, d_sae, massive=massive, shift=shift)
    pre = exact(x, encoder, bias)
    limit = torch.full((d_sae,), float(pre.std()) * height)
    limit[::3] *= 0.5
    found = Screen(encoder, bias, 16).above(x, limit)
    near = 1e-5 * (x.double().abs() @ encoder.double().abs().T + bias.abs())
    mask = torch.zeros(rows, d_sae, dtype=torch.bool)
    mask[found.rows, found.features] = True
    assert int(mask.sum()) == len(found.rows)
    assert bool(mask[pre > limit + near].all())
    assert not bool(mask[pre < limit - near].any())
    assert torch.allclose(found.values.double(), pre[mask], rtol=0, atol=float(near.max()))
    order = found.rows * d_sae + found.features
    assert bool((order[1:] > order[:-1]).all())


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**31), d_in=st.sampled_from([2, 64, 1000]), massive=st.integers(0, 2))
def test_no_product_is_further_off_than_the_bound(seed, d_in, massive):
    x, encoder, bias = an_encoder(seed, 24, d_in, 300, massive=massive)
    screen = Screen(encoder, bias, 24)
    ((_, tile),) = screen._tiles(x)
    pre = exact(x, encoder, bias)
    off = (tile.pre.double() - pre).abs() - 2 * UNIT * pre.abs()
    assert bool((off <= tile.error[:, None] * (1 + 4 * UNIT)).all())


def test_rows_of_which_nothing_is_positive():
    x, encoder, _ = an_encoder(0, 20, 64, 400)
    values, _ = Screen(encoder, torch.full((400,), -100.0), 16).largest(x, 8)
    assert not bool(values.any())


@pytest.mark.parametrize("kind", ["topk", "batchtopk", "jumprelu"])
def test_an_sae_gives_the_same_features_screened(kind: str, monkeypatch):
    x, encoder, bias = an_encoder(3, 700, 48, 6000, massive=1)
    weights = {"W_enc": encoder.T.contiguous(), "b_enc": bias, "W_dec": encoder.clone(), "b_dec": x.mean(0)}
    if kind != "topk":
        weights["threshold"] = torch.full((6000,), 2.0)
    sae = KINDS[kind](SaeConfig(kind, 48, 6000, k=20 if kind == "topk" else None), weights)
    plain = sae.active(x)
    monkeypatch.setattr("saescope.sae.base.can_screen", lambda weight: True)
    sae.pack()
    assert sae._screen is not None
    screened = sae.active(x)
    assert torch.equal(plain.rows, screened.rows)
    assert torch.equal(plain.features, screened.features)
    assert torch.allclose(plain.values, screened.values, atol=1e-4, rtol=1e-5)
    alone = [sae.active(row[None]) for row in x[:50]]
    assert torch.equal(torch.cat([one.values for one in alone]), screened.values[screened.rows < 50])
