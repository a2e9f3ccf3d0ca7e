"""The contract of base.py, for every kind."""

from dataclasses import replace

import pytest
import torch

from saescope.packed import can_pack
from saescope.sae import KINDS, Sae, SaeConfig
from saescope.sae.abs_topk import AbsTopK, split_signs
from saescope.sae.base import TILE_ROWS
from saescope.sae.kinds import COUNTED

D_IN, D_SAE, K = 12, 40, 4


def make_sae(kind: str, **changes: object) -> Sae:
    generator = torch.Generator().manual_seed(3)
    weights = {
        "W_enc": torch.randn(D_IN, D_SAE, generator=generator),
        "b_enc": torch.randn(D_SAE, generator=generator) * 0.1,
        "W_dec": torch.randn(D_SAE, D_IN, generator=generator),
        "b_dec": torch.randn(D_IN, generator=generator),
        "threshold": torch.rand(D_SAE, generator=generator) + 1,
        "b_mag": torch.randn(D_SAE, generator=generator) * 0.1,
        "r_mag": torch.randn(D_SAE, generator=generator) * 0.2,
    }
    cfg = SaeConfig(kind, D_IN, D_SAE, K if kind in COUNTED else None)
    return KINDS[kind](replace(cfg, **changes), weights)  # type: ignore[arg-type]


def make_transcoder(kind: str, d_out: int = 7, skip: bool = True) -> Sae:
    generator = torch.Generator().manual_seed(4)
    sae = make_sae(kind)
    weights = sae.weights | {
        "W_dec": torch.randn(D_SAE, d_out, generator=generator),
        "b_dec": torch.randn(d_out, generator=generator),
        "W_skip": torch.randn(d_out, D_IN, generator=generator),
    }
    return KINDS[kind](replace(sae.cfg, d_out=d_out, skip=skip, apply_b_dec_to_input=False), weights)


def rows(n: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, D_IN, generator=torch.Generator().manual_seed(seed)) * 2


@pytest.mark.parametrize("kind", KINDS)
def test_encode_follows_the_formula(kind: str) -> None:
    sae, x = make_sae(kind), rows(50)
    pre = ((x - sae.b_dec).double() @ sae.W_enc.double() + sae.b_enc.double()).float()
    if kind == "relu":
        expected = pre.relu()
    elif kind in ("topk", "abstopk", "normtopk"):
        rank = {"topk": pre, "abstopk": pre.abs(), "normtopk": pre * sae.W_dec.norm(dim=1)}[kind]
        edge = rank.sort(dim=1, descending=True).values[:, K - 1 : K]
        expected = torch.where(rank >= edge, pre if kind == "abstopk" else pre.relu(), 0)
    elif kind == "groupmax":
        groups = pre.view(len(x), K, D_SAE // K)
        expected = torch.where(groups == groups.amax(2, keepdim=True), groups.relu(), 0).view(pre.shape)
    elif kind == "gated":
        parts = sae.weights
        strength = (x - sae.b_dec) @ (parts["W_enc"] * parts["r_mag"].exp()) + parts["b_mag"]
        expected = torch.where(pre > 0, strength.relu(), 0)
    else:
        expected = torch.where(pre > sae.weights["threshold"], pre, 0)
    torch.testing.assert_close(sae.encode(x), expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [0, 1, TILE_ROWS - 1, TILE_ROWS, 2 * TILE_ROWS + 5])
def test_columns_and_dense_features_are_the_same(kind: str, n: int) -> None:
    sae, x = make_sae(kind), rows(n)
    active = sae.active(x)
    dense = torch.zeros(n, D_SAE)
    dense[active.rows, active.features] = active.values
    torch.testing.assert_close(dense, sae.encode(x))
    assert bool((active.values != 0).all() if sae.signed else (active.values > 0).all())
    place = active.rows * D_SAE + active.features
    assert bool((place.diff() > 0).all()), "ordered by row, then by feature"


@pytest.mark.parametrize("kind", KINDS)
def test_a_packed_encoder_answers_alike_and_is_no_part_of_the_weights(kind: str, monkeypatch) -> None:
    monkeypatch.setattr("saescope.sae.base.can_pack_wide", can_pack)  # whatever this processor prefers
    plain, packed, x = make_sae(kind), make_sae(kind).pack(), rows(TILE_ROWS + 3)
    assert packed._packed is not None
    assert packed.state_dict().keys() == plain.state_dict().keys()
    for got, expected in zip(packed.active(x), plain.active(x), strict=True):
        torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("pack", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_row_does_not_depend_on_the_rows_beside_it(kind: str, pack: bool, monkeypatch) -> None:
    monkeypatch.setattr("saescope.sae.base.can_pack_wide", can_pack)
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
    assert values.shape[1] == (K if kind == "topk" else int((features != 0).sum(1).max()))
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


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "groupmax"])
def test_a_width_that_is_no_multiple_of_eight_works(kind: str) -> None:
    whole = make_sae(kind)
    cut_weights = {
        name: weight[:, :37] if name == "W_enc" else weight if name == "b_dec" else weight[:37]
        for name, weight in whole.weights.items()
    }
    cut = KINDS[kind](replace(whole.cfg, d_sae=37), cut_weights)
    active, dense = cut.active(rows(20)), cut.encode(rows(20))
    assert torch.equal(dense.nonzero(), torch.stack([active.rows, active.features], 1))


# ---- transcoders ----


@pytest.mark.parametrize("kind", KINDS)
def test_a_transcoder_writes_what_its_own_formula_says(kind: str) -> None:
    sae, x = make_transcoder(kind), rows(20)
    features = sae.encode(x)
    assert sae(x).shape == (20, 7)
    torch.testing.assert_close(sae(x), sae.decode(features) + x @ sae.W_skip.T)
    torch.testing.assert_close(sae.decode(features), features @ sae.W_dec + sae.b_dec)
    assert sae.decode_sparse(*sae.encode_sparse(x)).shape == (20, 7)
    assert sae.delta(x, torch.tensor([3]), torch.ones(20, 1)).shape == (20, 7)


def test_a_transcoder_without_a_skip_adds_none_of_its_input() -> None:
    sae, x = make_transcoder("relu", skip=False), rows(5)
    torch.testing.assert_close(sae(x), sae.decode(sae.encode(x)))
    assert "W_skip" not in sae.weights


# ---- signs ----


def test_split_signs_computes_the_same_with_twice_the_features() -> None:
    sae, x = make_sae("abstopk"), rows(300)
    assert isinstance(sae, AbsTopK)
    split = split_signs(sae)
    positive, negative = split.encode(x).split(D_SAE, dim=1)
    assert (split.kind, split.d_sae, split.signed) == ("topk", 2 * D_SAE, False)
    torch.testing.assert_close(positive - negative, sae.encode(x))
    assert not bool(((positive > 0) & (negative > 0)).any())
    torch.testing.assert_close(split(x), sae(x))


# ---- how far a feature is from being silent ----


@pytest.mark.parametrize("kind", KINDS)
def test_a_preactivation_lowered_by_its_excess_is_silent(kind: str) -> None:
    sae, x = make_sae(kind), rows(60)
    features = torch.arange(D_SAE)
    f = sae.encode(x)
    pre = (x - sae.b_dec) @ sae.W_enc + sae.b_enc
    excess = sae.excess(f, features)
    assert torch.equal(excess != 0, f != 0)
    lowered = pre - excess - 1e-4 * f.sign()
    for row, feature in f.nonzero().tolist():
        one = pre[row].clone()
        one[feature] = lowered[row, feature]
        assert abs(float(sae._activation(one[None])[0, feature])) < 1e-3
    nearly = pre - 0.9 * excess
    if kind in ("relu", "jumprelu", "batchtopk", "gated"):
        assert torch.equal(sae._activation(nearly) != 0, f != 0)


@pytest.mark.parametrize("normalise", ["none", "layer_norm", "constant_norm_rescale"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_reconstruction_from_columns_is_the_whole_one(kind: str, normalise: str) -> None:
    sae, x = make_sae(kind, normalise=normalise), rows(20)
    x[3] = 0.01  # a row on which little or nothing fires
    torch.testing.assert_close(sae.reconstruct(x, sae.active(x)), sae(x))


def test_a_transcoder_reconstructs_from_columns_with_its_skip() -> None:
    sae, x = make_transcoder("topk"), rows(5)
    torch.testing.assert_close(sae.reconstruct(x, sae.active(x)), sae(x))


def test_a_reconstruction_where_nothing_fires_is_the_bias() -> None:
    sae, x = make_sae("relu"), rows(4)
    sae.b_enc.data -= 1e6
    torch.testing.assert_close(sae.reconstruct(x, sae.active(x)), sae.b_dec.expand(4, -1))
