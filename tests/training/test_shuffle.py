"""Rows are numbered activations, so that every draw can be followed."""

from collections import Counter
from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from saescope.errors import BadSource
from saescope.training import ShuffledActivations


class Rows:
    """Row r gives lengths[r] activations [r, position]."""

    def __init__(self, lengths: list[int]) -> None:
        self.lengths = np.array(lengths)
        self.read_rows: list[int] = []

    def __call__(self, rows: np.ndarray) -> torch.Tensor:
        self.read_rows += rows.tolist()
        return torch.tensor([[r, p] for r in rows for p in range(self.lengths[r])], dtype=torch.float32).view(-1, 2)

    def shuffled(self, counts: bool = True, **settings: int) -> ShuffledActivations:
        fields = {"context": 8, "buffer": 24, "batch": 5, "seed": 1} | settings
        return ShuffledActivations(self, len(self.lengths), counts=self.lengths if counts else None, **fields)


def flat(batches: list[torch.Tensor]) -> list[tuple[int, int]]:
    return [(int(row), int(position)) for batch in batches for row, position in batch.tolist()]


@pytest.mark.parametrize("reuse", [1, 3])
def test_an_epoch_draws_every_activation_reuse_times(reuse: int) -> None:
    rows = Rows([8, 3, 5, 8, 8, 1, 7, 8, 2, 0])
    total = 50 * reuse
    drawn = flat(list(islice(rows.shuffled(reuse=reuse).batches(), total // 5)))
    assert Counter(drawn) == {(r, p): reuse for r, n in enumerate(rows.lengths) for p in range(n)}
    assert sorted(rows.read_rows[:10]) == list(range(10)), "each row is read once an epoch"


def test_data_wraps_around_in_another_order() -> None:
    rows = Rows([8] * 10)
    drawn = flat(list(islice(rows.shuffled().batches(), 32)))
    assert sorted(drawn[:80]) == sorted(drawn[80:])
    assert drawn[:80] != drawn[80:]


def test_memory_is_bounded_by_whole_rows_that_fit() -> None:
    stream = Rows([8] * 10).shuffled(buffer=25)
    assert [len(stream.rows(block)) for block in range(5)] == [3, 3, 3, 1, 3]


def test_the_seed_decides_the_order() -> None:
    one, same, other = (flat(list(islice(Rows([8] * 9).shuffled(seed=s).batches(), 9))) for s in (1, 1, 2))
    assert one == same
    assert one != other


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 8), min_size=1, max_size=12).filter(any),
    start=st.integers(0, 40),
    reuse=st.integers(1, 3),
    buffer=st.sampled_from([8, 17, 40, 1000]),
    counts=st.booleans(),
)
def test_going_on_from_any_step_gives_what_was_to_come(
    lengths: list[int], start: int, reuse: int, buffer: int, counts: bool
) -> None:
    fields = {"reuse": reuse, "buffer": buffer}
    whole = list(islice(Rows(lengths).shuffled(**fields).batches(), start + 6))
    later = list(islice(Rows(lengths).shuffled(counts=counts, **fields).batches(start), 6))
    assert all(torch.equal(a, b) for a, b in zip(whole[start:], later, strict=True))
    assert all(batch.shape == (5, 2) for batch in whole)


def test_going_on_reads_only_the_block_it_needs_where_counts_are_known() -> None:
    rows = Rows([8] * 30)
    next(rows.shuffled().batches(20))
    assert len(rows.read_rows) == 3


def test_rows_without_a_single_activation_are_an_error_and_no_endless_loop() -> None:
    for counts in (True, False):
        with pytest.raises(BadSource, match="no row holds a valid token"):
            next(Rows([0, 0, 0]).shuffled(counts=counts).batches())
    with pytest.raises(BadSource, match="no rows"):
        Rows([]).shuffled()
