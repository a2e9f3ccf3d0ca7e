"""From a state to the table of examples: what stands in it, and that ranges of features change nothing."""

import itertools

import numpy as np
import pyarrow as pa
import pytest

from saescope.extraction import tables
from saescope.extraction.state import ExtractionState, Settings
from saescope.extraction.tables import EXAMPLES, STRATA, example_tables
from support.states import make, run

DATA = make(3, 60, 12, 32, 6, 0.1)
SETTING = Settings(32, top_k=4, window=5, sampled=7, silent=6)


class Rows:
    """Ragged rows of tokens that each stand once, of which positions 0, 3 and the last are not valid."""

    def __init__(self, samples: int, context: int, lengths: np.ndarray) -> None:
        self.samples, self.context = samples, context
        self.tokens = np.arange(samples * context, dtype=np.int32).reshape(samples, context)
        self.lengths = lengths.astype(np.int32)

    def valid(self, rows: slice, *, include_special: bool = False) -> np.ndarray:
        held = np.arange(self.context) < self.lengths[rows, None] - 1
        held[:, [0, 3]] = False
        return held


@pytest.fixture(params=[True, False], ids=["compiled", "tensors"])
def state(request: pytest.FixtureRequest) -> ExtractionState:
    return run(DATA, np.arange(60), 16, SETTING, compiled=request.param)


@pytest.fixture
def rows() -> Rows:
    return Rows(60, 12, DATA[2])


def test_ranges_of_features_give_the_table_of_all(
    state: ExtractionState, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = list(example_tables(state, rows))
    assert [len(table) > 0 for table in whole] == [True, False]
    monkeypatch.setattr(tables, "_BLOCK", 7)
    monkeypatch.setattr(Settings, "ranges", lambda self, size: [(low, low + 4) for low in range(0, 32, 4)])
    parts = list(example_tables(state, rows))
    assert len(parts) > 5
    assert pa.concat_tables(parts).equals(pa.concat_tables(whole))


def test_examples_are_in_order_and_cut_from_their_samples(state: ExtractionState, rows: Rows) -> None:
    examples = pa.concat_tables(example_tables(state, rows)).to_pylist()
    keys = [(row["feature"], STRATA.index(row["stratum"]), row["rank"]) for row in examples]
    assert keys == sorted(keys)
    assert {row["stratum"] for row in examples} == set(STRATA)
    for row in examples:
        length = min(SETTING.window, rows.lengths[row["sample"]] - row["start"])
        first = row["sample"] * rows.context + row["start"]
        assert row["token_ids"] == list(range(first, first + length))
        assert len(row["activations"]) == length
        assert row["activations"][row["peak"] - row["start"]] == row["activation"]
        if row["stratum"] == "none":
            assert not any(row["activations"])
            assert row["top_positions"] == []
        else:
            assert row["top_positions"][0] == row["peak"]
            assert row["activation"] == max(row["activations"])


def test_quartiles_cut_the_sampled_rows_by_their_strength(state: ExtractionState, rows: Rows) -> None:
    examples = pa.concat_tables(example_tables(state, rows)).to_pylist()
    for _, group in itertools.groupby(examples, lambda row: row["feature"]):
        sampled = [row for row in group if row["stratum"].startswith("q")]
        strengths = [(-row["activation"], row["sample"]) for row in sampled]
        assert strengths == sorted(strengths)
        n = len(sampled)
        assert [row["stratum"] for row in sampled] == [f"q{4 - 4 * (2 * rank + 1) // (2 * n)}" for rank in range(n)]


def test_silent_examples_stand_at_valid_positions(state: ExtractionState, rows: Rows) -> None:
    examples = pa.concat_tables(example_tables(state, rows)).to_pylist()
    peaks = set()
    for row in examples:
        if row["stratum"] == "none":
            valid = rows.valid(slice(row["sample"], row["sample"] + 1))[0]
            assert valid[row["peak"]] if valid.any() else row["peak"] == 0
            peaks.add(row["peak"])
    assert peaks >= {1, 2, 4, 5}


def test_a_state_without_rows_gives_one_empty_table(rows: Rows) -> None:
    (table,) = example_tables(ExtractionState(SETTING), rows)
    assert table.schema == EXAMPLES
    assert len(table) == 0
