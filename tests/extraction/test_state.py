"""The engine against the slow loop: any batches, any shards, any order, stopped and resumed; ties included."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from oracles.slow_loop import slow_loop
from saescope.extraction.heaps import Heaps
from saescope.extraction.spill import Spill
from saescope.extraction.state import ExtractionState, Settings, state_bytes
from support.states import make, run, tensors


def assert_same(a: ExtractionState, b: ExtractionState) -> None:
    left, right = tensors(a), tensors(b)
    assert left.keys() == right.keys()
    for name, column in left.items():
        assert torch.equal(column, right[name]), name


def examples_of(state: ExtractionState, feature: int, lengths) -> list[dict]:
    kept = state.top.kept_rows()
    if not kept:
        return []
    window = state.settings.window
    return [
        {
            "sample": int(kept["sample"][row]),
            "peak": int(kept["peak"][row]),
            "activation": float(kept["activation"][row]),
            "start": (start := int(kept["start"][row])),
            "top_positions": [p for p in kept["top_positions"][row].tolist() if p >= 0],
            "activations": kept["window"][row][: min(window, int(lengths[kept["sample"][row]]) - start)].tolist(),
        }
        for row in (kept["feature"] == feature).nonzero().squeeze(1).tolist()
    ]


cases = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 2**31),
        "samples": st.integers(1, 40),
        "positions": st.integers(2, 12),
        "d_sae": st.integers(1, 9),
        "levels": st.sampled_from([1, 2, 5, 1000]),
        "density": st.sampled_from([0.0, 0.05, 0.4, 1.0]),
    }
)


@settings(max_examples=60, deadline=None)
@given(
    case=cases,
    top_k=st.integers(1, 12),
    window=st.integers(1, 14),
    batch_size=st.sampled_from([1, 7, 32, 128]),
    compiled=st.booleans(),
)
def test_engine_equals_the_slow_loop(case, top_k, window, batch_size, compiled):
    data = make(**case)
    setting = Settings(case["d_sae"], top_k=top_k, window=window)
    state = run(data, np.arange(case["samples"]), batch_size, setting, compiled=compiled)
    for index, slow in enumerate(slow_loop(*data, top_k=top_k, window=window, first=1)):
        assert examples_of(state, index, data[2]) == slow.examples()
        columns = state.statistics.columns
        assert int(columns["active_tokens"][index]) == slow.active_tokens
        assert int(columns["active_samples"][index]) == slow.active_samples
        assert float(columns["max"][index]) == slow.max
        assert int(columns["histogram"].view(case["d_sae"], -1)[index].sum()) == slow.active_tokens
        if slow.active_tokens:
            assert float(state.statistics.mean[index]) == pytest.approx(slow.total / slow.active_tokens, rel=1e-9)
            assert float(state.statistics.second_moment[index]) == pytest.approx(
                slow.squares / slow.active_tokens, rel=1e-9
            )
    assert state.tokens == int(data[1].sum())
    assert state.samples == case["samples"]


@settings(max_examples=40, deadline=None)
@given(
    compiled=st.booleans(),
    case=cases,
    shards=st.sampled_from([1, 3, 5]),
    order_seed=st.integers(0, 1000),
    sizes=st.tuples(*[st.integers(1, 40)] * 2),
)
def test_any_shards_merged_in_any_order_give_the_same_state(compiled, case, shards, order_seed, sizes):
    """Shards made by compiled loops or by tensors, against the whole made by the other."""
    data = make(**case)
    setting = Settings(case["d_sae"], top_k=3, window=5, sampled=4, silent=3)
    whole = run(data, np.arange(case["samples"]), sizes[0], setting, compiled=not compiled)
    cuts = np.array_split(np.arange(case["samples"]), shards)
    parts = [run(data, rows, sizes[1], setting, compiled=compiled) for rows in cuts]
    merged = ExtractionState(setting, compiled=compiled)
    for index in np.random.default_rng(order_seed).permutation(len(parts)):
        merged.merge(parts[index])
    assert_same(merged, whole)


@settings(max_examples=30, deadline=None)
@given(case=cases, stop=st.integers(0, 40), compiled=st.booleans())
def test_stopping_and_resuming_gives_the_same_state(case, stop, compiled):
    data = make(**case)
    setting = Settings(case["d_sae"], top_k=3, window=5, sampled=4, silent=3)
    rows = np.arange(case["samples"])
    whole = run(data, rows, 7, setting)
    stopped = run(data, rows[:stop], 5, setting, compiled=compiled)
    saved = [{name: column.clone() for name, column in piece.items()} for piece in stopped.pieces()]
    resumed = ExtractionState(setting, compiled=compiled)
    resumed.restore(saved)
    assert_same(run(data, rows[stop:], 3, setting, resumed), whole)


@settings(max_examples=30, deadline=None)
@given(case=cases, compiled=st.booleans())
def test_silent_examples_are_samples_where_the_feature_is_not_active(case, compiled):
    data = make(**case)
    setting = Settings(case["d_sae"], top_k=3, window=4, sampled=4, silent=3)
    state = run(data, np.arange(case["samples"]), 8, setting, compiled=compiled)
    maxima = np.where(data[1][..., None], data[0], 0).max(1)
    kept = state.silent.kept_rows()
    if kept:
        feature, sample = kept["feature"].numpy(), kept["sample"].numpy()
        assert (maxima[sample, feature] == 0).all()
    for index in range(case["d_sae"]):
        expected = min(3, int((maxima[:, index] == 0).sum()))
        got = 0 if not kept else int((kept["feature"] == index).sum())
        assert got == expected


def test_state_does_not_grow_with_the_number_of_samples():
    setting = Settings(8, top_k=4, window=6, sampled=4, silent=4)
    sizes = []
    for samples in (100, 400, 1600):
        data = make(0, samples, 12, 8, 1000, 0.4)
        held = tensors(run(data, np.arange(samples), 50, setting))
        sizes.append(sum(column.numel() * column.element_size() for column in held.values()))
    assert sizes[0] == sizes[1] == sizes[2]


def test_states_of_different_settings_do_not_merge():
    with pytest.raises(ValueError, match="different settings"):
        ExtractionState(Settings(4)).merge(ExtractionState(Settings(4, top_k=7)))


def test_compiled_loops_equal_tensors_on_real_sized_numbers():
    data = make(5, 60, 40, 300, 10**6, 0.1)
    data = (data[0] * np.random.default_rng(0).lognormal(0, 3, 300).astype(np.float32), *data[1:])
    setting = Settings(300, top_k=10, window=8, sampled=6, silent=5)
    assert_same(run(data, np.arange(60), 16, setting), run(data, np.arange(60), 25, setting, compiled=False))


@pytest.mark.parametrize("compiled", [True, False])
def test_a_state_in_many_pieces_is_the_state_in_one(monkeypatch, compiled):
    data = make(6, 40, 12, 30, 1000, 0.3)
    setting = Settings(30, top_k=5, window=6, sampled=4, silent=3)
    state = run(data, np.arange(40), 8, setting, compiled=compiled)
    whole = tensors(state)
    monkeypatch.setattr(Settings, "ranges", lambda self: [(low, low + 3) for low in range(0, 30, 3)])
    assert sum(1 for _ in state.pieces()) == 11
    in_pieces = tensors(state)
    assert all(torch.equal(in_pieces[name], whole[name]) for name in whole)
    resumed = ExtractionState(setting, compiled=compiled)
    resumed.restore(state.pieces())
    assert_same(resumed, state)
    merged = ExtractionState(setting, compiled=compiled)
    merged.merge(state)
    assert_same(merged, state)


def test_a_state_on_the_disk_is_the_state_in_memory(tmp_path: Path):
    data = make(7, 60, 20, 50, 10**6, 0.2)
    setting = Settings(50, top_k=6, window=8, sampled=5, silent=4)
    on_disk = ExtractionState(setting, spill=Spill(0, tmp_path))
    assert isinstance(on_disk.top, Heaps)
    assert on_disk.top._file is not None
    assert list(tmp_path.iterdir()) == []  # the file has no name: nothing can be left behind
    assert_same(run(data, np.arange(60), 16, setting, on_disk), run(data, np.arange(60), 16, setting))


def test_the_arrays_of_a_state_take_the_bytes_that_were_foretold():
    setting = Settings(70, top_k=9, window=5, sampled=4, silent=3)
    state = ExtractionState(setting)
    keepers = [keeper for keeper in (state.top, state.sampled, state.silent) if isinstance(keeper, Heaps)]
    payload = sum(keeper.arrays[3].nbytes for keeper in keepers)
    keys = sum(array.nbytes for keeper in keepers for array in keeper.arrays[:3])
    counted = sum(column.nbytes for column in state.statistics.columns.values())
    assert state_bytes(setting).payload == payload
    assert state_bytes(setting).memory == keys + counted + state._feature_keys.nbytes + 24 * 70


@pytest.mark.parametrize(("d_sae", "top_k", "window"), [(131_072, 100, 32), (16_384, 100, 64)])
def test_a_state_keeps_its_bound(d_sae, top_k, window):
    assert state_bytes(Settings(d_sae, top_k, window)).total <= d_sae * top_k * (4 * window + 32) + 2**30
