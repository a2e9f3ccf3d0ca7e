"""The batch size that is chosen, and the memory that it is chosen by."""

import pytest
import torch

from saescope.extraction.groups import ActiveBatch
from saescope.extraction.meter import peak_bytes
from saescope.extraction.plan import SIZES, forced, plan, repeated, trial_state
from saescope.extraction.state import ExtractionState, Settings

ROOMY = 1 << 40
SETTINGS = Settings(d_sae=64, top_k=5, window=4)


@pytest.fixture
def batch() -> ActiveBatch:
    """Three samples of eight tokens with two active features each."""
    generator = torch.Generator().manual_seed(0)
    return ActiveBatch(
        samples=torch.tensor([40, 41, 42]),
        lengths=torch.full((3,), 8),
        valid_tokens=torch.full((3,), 7),
        sample=torch.arange(3).repeat_interleave(14),
        position=torch.arange(1, 8).repeat_interleave(2).repeat(3),
        feature=torch.arange(42) % 64,
        value=torch.rand(42, generator=generator) + 0.1,
    )


def test_the_peak_is_what_is_held_at_once_doubled():
    given = torch.zeros(1000)

    def work() -> None:
        first = given + 1  # 4,000 bytes
        first.add_(1)
        view = first[10:]
        second = view.double()  # 7,920 more: the peak
        del first, view
        second.int()  # 3,960, the first 4,000 being gone

    assert peak_bytes(work, "cpu") == 2 * (4_000 + 7_920)


def test_samples_are_repeated_under_new_numbers(batch):
    many = repeated(batch, 7)
    assert many.samples.tolist() == list(range(7))
    assert len(many.value) == 2 * 42 + 14
    assert torch.equal(many.value[42:84], batch.value)
    assert torch.equal(many.sample[42:84], batch.sample + 3)


def test_with_room_one_of_the_sizes_is_chosen_and_the_figures_are_told(batch):
    chosen = plan([batch], [SETTINGS], "cpu", ROOMY, samples=10_000)
    assert chosen.size in SIZES
    assert all(f"{size}: " in chosen.why for size in SIZES)
    assert chosen.bytes > 0
    assert chosen.seconds > 0


def test_no_more_samples_are_reduced_than_there_are(batch):
    assert plan([batch], [SETTINGS], "cpu", ROOMY, samples=5).size == 5


def test_where_memory_is_short_a_smaller_size_is_chosen(batch):
    one = forced(1, "", [batch], [SETTINGS], "cpu").bytes
    chosen = plan([batch], [SETTINGS], "cpu", 8 * one, samples=10_000)
    assert 1 <= chosen.size <= 8
    assert chosen.bytes <= 8 * one
    assert "no more fit" in chosen.why


def test_a_size_that_runs_out_of_memory_on_trial_is_not_chosen(batch, monkeypatch):
    measure = ExtractionState.measure

    def small_only(self: ExtractionState, batch: ActiveBatch) -> object:
        if len(batch) > 64:
            raise MemoryError
        return measure(self, batch)

    monkeypatch.setattr(ExtractionState, "measure", small_only)
    assert plan([batch], [SETTINGS], "cpu", ROOMY, samples=10_000).size in (32, 64)


def test_a_size_beyond_those_tried_is_extrapolated(batch):
    largest = forced(SIZES[-1], "as asked", [batch], [SETTINGS], "cpu")
    beyond = forced(4 * SIZES[-1], "as asked", [batch], [SETTINGS], "cpu")
    assert beyond.size == 4 * SIZES[-1]
    assert beyond.bytes == 4 * largest.bytes


def test_a_state_on_trial_keeps_fewer_rows_where_features_are_many():
    assert trial_state(Settings(d_sae=1 << 18), "cpu").settings.top_k < 10
    assert trial_state(SETTINGS, "cpu").settings == Settings(d_sae=64, top_k=5, window=4)
