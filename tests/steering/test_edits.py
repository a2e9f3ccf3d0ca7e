"""Edits on rows, on real SAEs with random weights whose encoder and decoder are not tied."""

from dataclasses import replace

import pytest
import torch

from saescope.errors import BadValue, Mismatch, NotFound
from saescope.sae.base import SaeConfig
from saescope.sae.kinds import COUNTED, KINDS
from saescope.specs import Edit
from saescope.steering.edits import FeatureEdits, edits_of

D_IN, D_SAE, K = 16, 48, 6
EVERY_KIND = pytest.mark.parametrize("kind", sorted(KINDS))


def make_sae(kind="topk", *, seed=0, **config):
    generator = torch.Generator().manual_seed(seed)

    def random(*shape):
        return torch.randn(*shape, generator=generator)

    rows = random(D_SAE, D_IN)
    weights = {
        "W_enc": rows.T + random(D_IN, D_SAE),
        "b_enc": 0.1 * random(D_SAE),
        "W_dec": rows / rows.norm(dim=1, keepdim=True),
        "b_dec": 0.1 * random(D_IN),
    }
    if kind in ("jumprelu", "batchtopk"):
        weights["threshold"] = 0.5 + random(D_SAE).abs()
    if kind == "gated":
        weights |= {"b_mag": 0.1 * random(D_SAE), "r_mag": 0.2 * random(D_SAE)}
    cfg = SaeConfig(kind=kind, d_in=D_IN, d_sae=D_SAE, k=K if kind in COUNTED else None, **config)
    return KINDS[kind](cfg, weights)


def make_transcoder(kind="topk", d_out=9):
    sae = make_sae(kind)
    generator = torch.Generator().manual_seed(5)
    weights = sae.weights | {
        "W_dec": torch.randn(D_SAE, d_out, generator=generator),
        "b_dec": torch.randn(d_out, generator=generator),
    }
    cfg = replace(sae.cfg, d_out=d_out, apply_b_dec_to_input=False, hookpoint_out="there")
    return KINDS[kind](cfg, weights)


def make_h(batch=3, pos=7, *, seed=1, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return (2 * torch.randn(batch, pos, D_IN, generator=generator)).to(dtype)


def strongest(sae, h):
    """The feature active on most positions behind the first."""
    return int((sae.encode(h[:, 1:].float()) > 0).flatten(0, 1).sum(0).argmax())


def edited(sae, h, *texts, maxima=None, **options):
    return FeatureEdits(sae, [Edit.parse(text) for text in texts], maxima or {}, **options)(h)


@EVERY_KIND
def test_ablated_features_read_exactly_zero_at_every_edited_position(kind):
    for seed in range(6):
        sae, h = make_sae(kind, seed=seed), make_h(4, 40, seed=seed)
        feature = strongest(sae, h)
        assert (sae.encode(h[:, 1:])[..., feature] > 0).any()
        after = sae.encode(edited(sae, h, f"{feature}:ablate")[:, 1:])
        assert (after[..., feature] == 0).all()


@EVERY_KIND
def test_several_ablated_features_read_exactly_zero_together(kind):
    sae, h = make_sae(kind), make_h(4, 30)
    features = (sae.encode(h[:, 1:]) > 0).flatten(0, 1).sum(0).topk(5).indices.tolist()
    after = sae.encode(edited(sae, h, *(f"{feature}:ablate" for feature in features))[:, 1:])
    assert (after[..., features] == 0).all()


@EVERY_KIND
def test_ablation_reads_zero_in_bfloat16_too(kind):
    sae, h = make_sae(kind), make_h(2, 30, dtype=torch.bfloat16)
    feature = strongest(sae, h)
    new = edited(sae, h, f"{feature}:ablate")
    assert new.dtype == torch.bfloat16
    assert (sae.encode(new[:, 1:].float())[..., feature] == 0).all()
    assert torch.equal(new[:, 0], h[:, 0])


@pytest.mark.parametrize("how", ["layer_norm", "constant_norm_rescale"])
def test_ablation_reads_zero_where_rows_are_normalised(how):
    sae, h = make_sae("relu", normalise=how), make_h(3, 20)
    feature = strongest(sae, h)
    assert (sae.encode(edited(sae, h, f"{feature}:ablate")[:, 1:])[..., feature] == 0).all()


def test_ablating_a_feature_whose_encoder_opposes_its_decoder_reads_zero():
    sae, h = make_sae("relu"), make_h()
    feature = strongest(sae, h)
    with torch.no_grad():
        sae.W_enc[:, feature] = -sae.W_dec[feature]
    assert (sae.encode(h)[..., feature] > 0).any()
    assert (sae.encode(edited(sae, h, f"{feature}:ablate")[:, 1:])[..., feature] == 0).all()


def test_ablation_takes_no_more_than_the_features_own_contribution_when_the_weights_are_tied():
    sae, h = make_sae("relu"), make_h()
    with torch.no_grad():
        sae.W_enc.copy_(sae.W_dec.T)
        sae.b_enc.zero_()
    feature = strongest(sae, h)
    f = sae.encode(h)[..., feature : feature + 1]
    expected = h - f * sae.W_dec[feature]
    expected[:, 0] = h[:, 0]
    torch.testing.assert_close(edited(sae, h, f"{feature}:ablate"), expected, rtol=1e-3, atol=1e-3)


def test_ablating_a_feature_that_is_nowhere_active_gives_the_same_tensor_back():
    sae, h = make_sae("jumprelu"), make_h()
    with torch.no_grad():
        sae.threshold[3] = 1e6
    assert edited(sae, h, "3:ablate") is h


@EVERY_KIND
@pytest.mark.parametrize("text", ["5:add:0", "5:add:0:norm", "5:add:0:raw", "5:scale:1", "5:min:0", "5:min:-1:raw"])
def test_an_edit_that_asks_for_nothing_gives_the_same_tensor_back(kind, text):
    sae, h = make_sae(kind), make_h(dtype=torch.bfloat16)
    if sae.signed and ":min:" in text:
        pytest.skip("a feature may be below such a minimum")
    assert edited(sae, h, text, maxima={5: 2.0}) is h


def test_add_moves_the_residual_along_the_decoder_row_by_multiples_of_the_largest_activation():
    sae, h = make_sae(), make_h()
    moved = edited(sae, h, "7:add:2", maxima={7: 1.5}) - h
    torch.testing.assert_close(moved[:, 1:], (3 * sae.W_dec[7]).expand_as(moved[:, 1:]), rtol=1e-5, atol=1e-5)
    assert (moved[:, 0] == 0).all()


@pytest.mark.parametrize("how", ["none", "layer_norm", "constant_norm_rescale"])
def test_add_in_units_of_the_norm_adds_that_share_of_each_residuals_norm(how):
    sae, h = make_sae("relu", normalise=how), make_h()
    moved = edited(sae, h, "7:add:0.5:norm") - h
    torch.testing.assert_close(moved[:, 1:].norm(dim=-1), 0.5 * h[:, 1:].norm(dim=-1), rtol=1e-4, atol=1e-4)


@EVERY_KIND
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{}:set:2:raw", lambda f: torch.full_like(f, 2.0)),
        ("{}:set:2:max", lambda f: torch.full_like(f, 6.0)),
        ("{}:min:1.5:raw", lambda f: f.clamp(min=1.5)),
        ("{}:scale:0.25", lambda f: f * 0.25),
        ("{}:scale:3", lambda f: f * 3),
        ("{}:add:-1:raw", lambda f: f - 1),
    ],
)
def test_the_residual_changes_by_the_decoded_difference_of_the_feature(kind, text, expected):
    sae, h = make_sae(kind), make_h()
    feature = strongest(sae, h)
    f = sae.encode(h)[..., feature]
    wanted = h + (expected(f) - f)[..., None] * sae.W_dec[feature]
    wanted[:, 0] = h[:, 0]
    new = edited(sae, h, text.format(feature), maxima={feature: 3.0})
    torch.testing.assert_close(new, wanted, rtol=1e-5, atol=1e-5)


def test_positions_where_min_is_met_keep_their_bits():
    sae, h = make_sae("relu"), make_h(2, 30)
    feature = strongest(sae, h)
    f = sae.encode(h)[..., feature]
    new = edited(sae, h, f"{feature}:min:1:raw")
    kept = f >= 1
    assert kept[:, 1:].any()
    assert torch.equal(new[kept], h[kept])


@pytest.mark.parametrize(
    ("where", "positions"), [("all", range(1, 9)), ("prompt", range(1, 5)), ("generated", range(5, 9))]
)
def test_where_chooses_the_positions_and_chunks_of_a_cache_make_no_difference(where, positions):
    sae, h = make_sae(), make_h(2, 9)
    whole = FeatureEdits(sae, [Edit.parse("7:add:1:raw")], {}, where=where)
    whole.begin(5)
    new = whole(h)
    changed = (new != h).any(-1).any(0).nonzero().squeeze(1).tolist()
    assert changed == list(positions)
    whole.begin(5)
    parts = torch.cat([whole(h[:, :5]), *(whole(h[:, at : at + 1]) for at in range(5, 9))], dim=1)
    torch.testing.assert_close(parts, new, rtol=1e-5, atol=1e-5)


def test_what_the_first_call_shows_is_the_prompt_when_nothing_else_is_said():
    sae, h = make_sae(), make_h(1, 6)
    edits = FeatureEdits(sae, [Edit.parse("7:add:1:raw")], {}, where="generated")
    assert edits(h[:, :4]) is not None
    assert not torch.equal(edits(h[:, 4:]), h[:, 4:])
    edits.begin()
    assert torch.equal(edits(h[:, 4:]), h[:, 4:])


def test_more_positions_than_one_block_are_all_edited():
    sae, h = make_sae(), make_h(3, 700)
    assert ((edited(sae, h, "7:add:1:raw") != h).any(-1)[:, 1:]).all()


def test_a_feature_that_is_not_there_is_not_found():
    with pytest.raises(NotFound, match="no feature 48 among 48; features are numbered 0 to 47"):
        edited(make_sae(), make_h(), "48:add:1:raw")


@pytest.mark.parametrize(("maxima", "words"), [({}, "not known"), ({5: 0.0}, "is 0"), ({5: float("nan")}, "is nan")])
def test_multiples_of_an_unknown_or_zero_maximum_are_refused_with_a_way_out(maxima, words):
    with pytest.raises(BadValue, match=words) as error:
        edited(make_sae(), make_h(), "5:add:2", maxima=maxima)
    assert "5:add:2:raw" in error.value.hint


def test_two_edits_of_one_feature_are_refused():
    with pytest.raises(BadValue, match="feature 5 has 2 edits"):
        edited(make_sae(), make_h(), "5:add:2:raw", "5:ablate")


def test_activations_of_another_width_are_refused_with_both_widths():
    with pytest.raises(Mismatch, match="reads 16 numbers per token, the hookpoint has 20"):
        edited(make_sae(), torch.randn(1, 3, 20), "5:ablate")


@pytest.mark.parametrize(
    ("text", "maxima"), [("3:add:1e300:raw", {}), ("3:scale:1e39", {}), ("3:set:1e38:max", {3: 50.0})]
)
def test_an_amount_that_float32_cannot_hold_is_refused(text, maxima):
    with pytest.raises(BadValue, match="more than any activation"):
        FeatureEdits(make_sae(), [Edit.parse(text)], maxima)


@pytest.mark.parametrize("text", ["²:add:1", "9" * 5000 + ":ablate"])
def test_an_edit_of_what_is_no_index_is_refused(text):
    with pytest.raises(BadValue, match="cannot be read"):
        Edit.parse(text)


# ---- transcoders: read in one place, written in another ----


@EVERY_KIND
@pytest.mark.parametrize("text", ["5:add:2:raw", "5:set:3:raw", "5:scale:0", "5:ablate"])
def test_a_transcoders_edit_adds_the_decoded_difference_where_it_writes(kind, text):
    sae, entering = make_transcoder(kind), make_h()
    leaving = torch.randn(3, 7, 9, generator=torch.Generator().manual_seed(8))
    edits = edits_of(sae, [Edit.parse(text)], {})
    (reads, read), (writes, write) = edits.places("here")
    assert (reads, writes) == ("here", "there")
    assert read(entering) is entering
    f = sae.encode(entering)[..., 5:6]
    after = {"add": f + 2, "set": torch.full_like(f, 3.0), "scale": 0 * f, "ablate": 0 * f}[text.split(":")[1]]
    expected = leaving + (after - f) * sae.W_dec[5]
    expected[:, 0] = leaving[:, 0]
    torch.testing.assert_close(write(leaving), expected, rtol=1e-4, atol=1e-4)


def test_a_transcoder_at_places_of_other_widths_is_refused():
    edits = edits_of(make_transcoder(), [Edit.parse("5:ablate")], {})
    (_, read), (_, write) = edits.places("here")
    read(make_h())
    with pytest.raises(Mismatch, match="writes 9 numbers per token, the hookpoint has 20"):
        write(torch.randn(3, 7, 20))
