"""The contract of base.py, for every kind."""

from dataclasses import replace

import pytest
import torch

from saescope.sae import KINDS, Sae, SaeConfig
from saescope.sae.base import TILE_ROWS

D_IN, D_SAE, K = 12, 40, 4


def make_sae(kind: str, **changes: object) -> Sae:
    generator = torch.Generator().manual_seed(3)
    weights = {
        "W_enc": torch.randn(D_IN, D_SAE, generator=generator),
        "b_enc": torch.randn(D_SAE, generator=generator) * 0.1,
        "W_dec": torch.randn(D_SAE, D_IN, generator=generator),
        "b_dec": torch.randn(D_IN, generator=generator),
        "threshold": torch.rand(D_SAE, generator=generator) + 1,
    }
    cfg = SaeConfig(kind, D_IN, D_SAE, K if kind == "topk" else None)
    return KINDS[kind](replace(cfg, **changes), weights)  # type: ignore[arg-type]


def rows(n: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, D_IN, generator=torch.Generator().manual_seed(seed)) * 2


@pytest.mark.parametrize("kind", KINDS)
def test_encode_follows_the_formula(kind: str) -> None:
    sae, x = make_sae(kind), rows(50)
    pre = ((x - sae.b_dec).double() @ sae.W_enc.double() + sae.b_enc.double()).float()
    if kind == "relu":
        expected = pre.relu()
    elif kind == "topk":
        edge = pre.sort(dim=1, descending=True).values[:, K - 1 : K]
        expected = torch.where(pre >= edge, pre.relu(), 0)
    else:
        expected = torch.where(pre > sae.threshold, pre, 0)
    torch.testing.assert_close(sae.encode(x), expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [0, 1, TILE_ROWS - 1, TILE_ROWS, 2 * TILE_ROWS + 5])
def test_columns_and_dense_features_are_the_same(kind: str, n: int) -> None:
    sae, x = make_sae(kind), rows(n)
    active = sae.active(x)
    dense = torch.zeros(n, D_SAE)
    dense[active.rows, active.features] = active.values
    torch.testing.assert_close(dense, sae.encode(x))
    assert bool((active.values > 0).all())
    place = active.rows * D_SAE + active.features
    assert bool((place.diff() > 0).all()), "ordered by row, then by feature"


@pytest.mark.parametrize("kind", KINDS)
def test_a_packed_encoder_answers_alike_and_is_no_part_of_the_weights(kind: str) -> None:
    plain, packed, x = make_sae(kind), make_sae(kind).pack(), rows(TILE_ROWS + 3)
    assert packed._packed is not None
    assert packed.state_dict().keys() == plain.state_dict().keys()
    for got, expected in zip(packed.active(x), plain.active(x), strict=True):
        torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("pack", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_row_does_not_depend_on_the_rows_beside_it(kind: str, pack: bool) -> None:
    sae, x = make_sae(kind), rows(300)
    if pack:
        sae.pack()
    together = sae.active(x)
    for row in (0, 1, 130, 299):
        alone = sae.active(x[row : row + 1])
        here = together.rows == row
        assert torch.equal(alone.features, together.features[here])
        assert torch.equal(alone.values, together.values[here])


@pytest.mark.parametrize("kind", KINDS)
def test_sparse_and_dense_decode_agree(kind: str) -> None:
    sae, x = make_sae(kind), rows(30)
    values, indices = sae.encode_sparse(x)
    features = sae.encode(x)
    assert values.shape[1] == (K if kind == "topk" else int((features > 0).sum(1).max()))
    assert not bool(indices[values == 0].any()), "unused places hold index 0"
    torch.testing.assert_close(sae.decode_sparse(values, indices), sae.decode(features))
    torch.testing.assert_close(sae.decode(features), sae(x))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("normalise", ["none", "layer_norm", "constant_norm_rescale"])
def test_delta_is_what_a_change_of_features_changes(kind: str, normalise: str) -> None:
    sae, x = make_sae(kind, normalise=normalise), rows(8)
    plain = make_sae(kind)
    features, change = torch.tensor([3, 17]), torch.tensor([[1.0, -2.0]]).expand(8, 2)
    z, undo = x, torch.ones(8, 1)
    if normalise == "layer_norm":
        undo = x.std(1, keepdim=True)
    elif normalise == "constant_norm_rescale":
        undo = x.norm(dim=1, keepdim=True) / D_IN**0.5
    before = plain.encode(z)
    after = before.clone()
    after[:, features] += change
    expected = (plain.decode(after) - plain.decode(before)) * undo
    torch.testing.assert_close(sae.delta(x, features, change), expected, rtol=1e-4, atol=1e-4)
    assert not bool(sae.delta(x, features, change * 0).any())


@pytest.mark.parametrize("kind", KINDS)
def test_more_axes_are_allowed(kind: str) -> None:
    sae, x = make_sae(kind), rows(12)
    cube = x.view(3, 4, D_IN)
    torch.testing.assert_close(sae(cube), sae(x).view(3, 4, D_IN))
    values, indices = sae.encode_sparse(cube)
    torch.testing.assert_close(sae.decode_sparse(values, indices), sae(cube))


def test_topk_keeps_at_most_k_features_per_token() -> None:
    sae = make_sae("topk")
    assert int((sae.encode(rows(200)) > 0).sum(1).max()) == K


def test_topk_drops_chosen_features_that_are_negative() -> None:
    sae = make_sae("topk")
    sae.b_enc.data.fill_(-1e6)
    assert not bool(sae.encode(rows(5)).any())
    assert len(sae.active(rows(5)).rows) == 0
    torch.testing.assert_close(sae(rows(5)), sae.b_dec.expand(5, -1))


def test_topk_breaks_ties_by_the_lowest_index() -> None:
    sae = make_sae("topk")
    sae.W_enc.data[:] = 0
    sae.b_enc.data[:] = 1
    sae.b_enc.data[30] = 2
    active = sae.active(rows(3))
    assert active.features.tolist() == [0, 1, 2, 30] * 3
    assert sae.encode(rows(3)).nonzero()[:, 1].tolist() == [0, 1, 2, 30] * 3


def test_topk_of_every_feature_is_relu() -> None:
    sae, relu = make_sae("topk", k=D_SAE), make_sae("relu")
    torch.testing.assert_close(sae.encode(rows(9)), relu.encode(rows(9)))
    assert torch.equal(sae.active(rows(9)).features, relu.active(rows(9)).features)


@pytest.mark.parametrize("kind", ["jumprelu", "batchtopk"])
def test_a_preactivation_on_its_threshold_is_inactive(kind: str) -> None:
    sae = make_sae(kind)
    sae.W_enc.data[:] = 0
    sae.b_enc.data[:] = sae.threshold
    assert not bool(sae.encode(rows(2)).any())
    sae.b_enc.data[5] += 2**-9
    assert sae.active(rows(2)).features.tolist() == [5, 5]


def test_a_negative_threshold_lets_no_negative_activation_through() -> None:
    sae = make_sae("jumprelu")
    sae.threshold.data[:] = -3
    torch.testing.assert_close(sae.encode(rows(20)), make_sae("relu").encode(rows(20)))
    assert bool((sae.active(rows(20)).values > 0).all())


@pytest.mark.parametrize("kind", KINDS)
def test_a_width_that_is_no_multiple_of_eight_works(kind: str) -> None:
    whole = make_sae(kind)
    cut = KINDS[kind](
        replace(whole.cfg, d_sae=37),
        {name: getattr(whole, name).data.clone() for name in whole.tensors}
        | {
            "W_enc": whole.W_enc[:, :37],
            "b_enc": whole.b_enc[:37],
            "W_dec": whole.W_dec[:37],
            "threshold": torch.ones(37),
        },
    )
    active, dense = cut.active(rows(20)), cut.encode(rows(20))
    assert torch.equal(dense.nonzero(), torch.stack([active.rows, active.features], 1))
