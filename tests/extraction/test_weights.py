"""Facts of weights alone against plain products in float64, and neighbours found one by one."""

import numpy as np
import pytest
import torch

from saescope.extraction import weights as module
from saescope.extraction.neighbors import margin, nearest
from saescope.extraction.weights import WeightFacts, neighbor_operations, weight_facts


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_TILE", 32)
    monkeypatch.setattr(module, "_TILE_CELLS", 1 << 11)


def a_decoder(d_sae: int, *, alike: int = 0) -> torch.Tensor:
    """Random rows of all lengths, one of them zero; the first `alike` are one direction."""
    generator = torch.Generator().manual_seed(d_sae)
    decoder = torch.randn(d_sae, 24, generator=generator)
    decoder[:alike] = decoder[0]
    decoder *= torch.rand(d_sae, 1, generator=generator) * 3
    if d_sae > 5:
        decoder[5] = 0
    return decoder


def facts_of(decoder: torch.Tensor, unembedding: torch.Tensor, gain: torch.Tensor | None = None) -> WeightFacts:
    *progress, (done, facts) = weight_facts(decoder, unembedding, gain)
    assert [share for share, _ in progress] == sorted(share for share, _ in progress)
    assert done == len(decoder)
    assert facts is not None
    return facts


def exact_cosines(decoder: torch.Tensor) -> torch.Tensor:
    unit = decoder.double() / decoder.double().norm(dim=1, keepdim=True).clamp(min=1e-12)
    return (unit @ unit.T).fill_diagonal_(-2.0)


NO_TOKENS = torch.zeros(3, 7)


@pytest.mark.parametrize("d_sae", [2, 6, 17, 100, 131])
def test_neighbors_are_those_of_largest_cosine(d_sae: int) -> None:
    decoder = a_decoder(d_sae)
    facts = facts_of(decoder, NO_TOKENS)
    expected = exact_cosines(decoder).topk(min(10, d_sae - 1)).values
    assert np.allclose(facts.neighbor_cosines, expected.numpy(), atol=1e-6)
    chosen = np.take_along_axis(exact_cosines(decoder).numpy(), facts.neighbor_ids.astype(np.int64), 1)
    assert np.allclose(facts.neighbor_cosines, chosen, atol=1e-6)
    assert all(len(set(row)) == len(row) for row in facts.neighbor_ids.tolist())
    assert not facts.writes_most_ids.shape[1]


@pytest.mark.parametrize("alike", [0, 40])
def test_a_feature_looked_at_alone_has_the_neighbors_of_the_table(alike: int) -> None:
    """To the last bit, ties included: forty features of one direction are more than the candidates of a tile."""
    decoder = a_decoder(131, alike=alike)
    facts = facts_of(decoder, NO_TOKENS)
    rows, norms = decoder.numpy(), decoder.norm(dim=1).numpy()
    for feature in range(131):
        ids, cosines = nearest(rows, norms, feature)
        assert ids.tolist() == facts.neighbor_ids[feature].tolist()
        assert cosines.tolist() == facts.neighbor_cosines[feature].tolist()


def test_the_margin_is_larger_than_what_rounding_does() -> None:
    decoder = torch.randn(300, 576, generator=torch.Generator().manual_seed(0))
    unit = decoder / decoder.norm(dim=1, keepdim=True)
    off = ((unit @ unit.T).fill_diagonal_(-2.0) - exact_cosines(decoder)).abs().max()
    assert 0 < off < margin(576) / 2


def test_neighbors_beyond_the_budget_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "NEIGHBOR_OPERATIONS", neighbor_operations(100, 24) - 1)
    unembedding = torch.randn(50, 24, generator=torch.Generator().manual_seed(1))
    facts = facts_of(a_decoder(100), unembedding)
    assert facts.neighbor_ids.shape == facts.neighbor_cosines.shape == (100, 0)
    assert facts.writes_most_ids.shape == (100, 10)
    assert facts_of(a_decoder(99), unembedding).neighbor_ids.shape == (99, 10)


@pytest.mark.parametrize("vocabulary", [4, 50])
@pytest.mark.parametrize("gained", [True, False])
def test_tokens_written_are_those_of_extreme_logits(vocabulary: int, gained: bool) -> None:
    generator = torch.Generator().manual_seed(2)
    decoder, unembedding = a_decoder(131), torch.randn(vocabulary, 24, generator=generator)
    gain = torch.rand(24, generator=generator) if gained else None
    facts = facts_of(decoder, unembedding, gain)
    logits = (decoder.double() * (1 if gain is None else gain.double())) @ unembedding.double().T
    for name, largest in (("writes_most", True), ("writes_least", False)):
        ids, found = facts.arrays()[f"{name}_ids"], facts.arrays()[f"{name}_logits"]
        expected = logits.topk(min(10, vocabulary), largest=largest).values
        assert np.allclose(found, expected.numpy(), atol=1e-5)
        assert np.allclose(found, np.take_along_axis(logits.numpy(), ids.astype(np.int64), 1), atol=1e-5)
