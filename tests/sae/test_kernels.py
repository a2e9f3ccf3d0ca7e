"""The compiled searches against the tensor ones: values, indices, order, ties."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from saescope.sae.active import _compiled, _tensors, above, above_in_tensors


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    rows=st.integers(1, 9),
    width=st.integers(2, 700),
    k=st.integers(1, 90),
    levels=st.sampled_from([1, 2, 7, 10**6]),
    lowest=st.sampled_from([-3, 0]),
)
def test_compiled_top_k_equals_the_tensor_one(seed, rows, width, k, levels, lowest):
    k = min(k, width - 1)
    generator = torch.Generator().manual_seed(seed)
    pre = torch.randint(lowest * levels, levels + 1, (rows, width), generator=generator) / levels
    values, indices = _compiled(pre, k)
    features = [
        torch.zeros_like(pre).scatter_(1, where, torch.relu(v)) for v, where in ((values, indices), _tensors(pre, k))
    ]
    assert torch.equal(*features)
    assert torch.equal(values, pre.gather(1, indices))
    assert bool((indices[:, 1:] > indices[:, :-1]).all())


def test_many_features_and_a_large_k():
    pre = torch.randn(5, 20_000, generator=torch.Generator().manual_seed(0))
    for k in (1, 32, 300, 5000):
        for got, expected in zip(_compiled(pre, k), _tensors(pre, k), strict=True):
            assert torch.equal(got, expected)


def test_numbers_that_compare_with_nothing_do_not_hang_the_loop():
    pre = torch.full((2, 50), float("nan"))
    values, indices = _compiled(pre, 4)
    assert not bool((values > 0).any())
    assert bool((indices < 50).all())


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    rows=st.integers(0, 9),
    width=st.integers(1, 300),
    levels=st.sampled_from([1, 2, 7, 10**6]),
    share=st.sampled_from([0.0, 0.02, 0.5, 1.0]),
)
def test_compiled_threshold_search_equals_the_tensor_one(seed, rows, width, levels, share):
    generator = torch.Generator().manual_seed(seed)
    pre = torch.randint(-levels, levels + 1, (rows, width), generator=generator) / levels
    limit = torch.randint(0, levels + 1, (width,), generator=generator) / levels
    limit = torch.where(torch.rand(width, generator=generator) < share, limit, 2.0)
    for got, expected in zip(above(pre, limit), above_in_tensors(pre, limit), strict=True):
        assert torch.equal(got, expected)


def test_a_row_where_nearly_everything_exceeds_its_limit():
    pre = torch.randn(3, 16_384, generator=torch.Generator().manual_seed(0))
    pre[1] += 5
    pre[2, 7] = float("nan")
    limit = torch.full((16_384,), 2.5)
    for got, expected in zip(above(pre, limit), above_in_tensors(pre, limit), strict=True):
        assert torch.equal(got, expected)
