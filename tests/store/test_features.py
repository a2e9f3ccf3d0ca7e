import itertools
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from saescope.errors import BadValue, BrokenHome, NotFound
from saescope.records import Label
from saescope.store import features as module
from saescope.store.features import FeatureStore, write_extraction
from saescope.store.peaks import COLUMN as PEAKS_ON
from support.catalogue import a_features_table, an_examples_table

N = 300


def a_store(folder: Path, n: int = N, **options: int) -> FeatureStore:
    folder.mkdir(exist_ok=True)
    live = np.flatnonzero(np.arange(n) % 7 != 6)
    write_extraction(folder, a_features_table(n), an_examples_table(live, **options))
    return FeatureStore(folder)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    return a_store(tmp_path_factory.mktemp("extraction"))


def indices(rows: pa.Table) -> list[int]:
    return rows.column("index").to_pylist()


def test_what_was_written_is_read_back(store: FeatureStore) -> None:
    live = np.flatnonzero(np.arange(N) % 7 != 6)
    assert store.total == N
    assert store.histogram_edges == [0.0, 0.1, 1.0, 10.0]
    assert store.to_arrow().drop_columns([PEAKS_ON]).equals(a_features_table(N))
    assert store.to_arrow(["index", "max"]).column_names == ["index", "max"]
    assert store.examples_arrow().equals(an_examples_table(live))


def test_one_feature_is_its_row(store: FeatureStore) -> None:
    rows = a_features_table(N).to_pylist()
    for index in (0, 5, 6, N - 1):
        found = store.feature(index)
        found.pop(PEAKS_ON)
        assert found == rows[index]
    assert store.feature(5, ["max", "histogram"]) == {name: rows[5][name] for name in ("max", "histogram")}


def test_the_tokens_that_features_peak_on_are_kept_with_them(store: FeatureStore) -> None:
    assert store.peaks is not None
    for index in range(N):
        tops = [row for row in store.examples(index) if row["stratum"] == "top"]
        tokens = [row["token_ids"][row["peak"] - row["start"]] for row in tops]
        assert [id for id in store.peaks[index].tolist() if id >= 0] == list(dict.fromkeys(tokens))


def test_a_token_peaked_on_twice_is_kept_once(tmp_path: Path) -> None:
    examples = an_examples_table(np.arange(2), per_feature=6)
    tokens = [[9, 9, 9, 9]] * 3 + [[1, 1, id, 1] for id in (4, 4, 7, 4, 8, 5)]
    column = pa.array(tokens + [[2, 3, 3, 3]] * 9, pa.list_(pa.int32()))
    examples = examples.set_column(examples.column_names.index("token_ids"), "token_ids", column)
    write_extraction(tmp_path, a_features_table(3), examples)
    assert FeatureStore(tmp_path).to_arrow([PEAKS_ON]).column(0).to_pylist() == [[4, 7, 8], [3], []]


def test_very_many_features_stand_in_larger_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FEATURES_PER_FEATURE_GROUP", 16)
    monkeypatch.setattr(module, "_FEATURE_GROUPS", 4)
    store = a_store(tmp_path / "x")
    assert pq.read_metadata(tmp_path / "x" / "features.parquet").num_row_groups == 4
    table = a_features_table(N)
    assert [store.feature(index, table.column_names) for index in range(N)] == table.to_pylist()


def test_examples_of_one_feature_are_its_own_strongest_stratum_first(store: FeatureStore) -> None:
    every = an_examples_table(np.flatnonzero(np.arange(N) % 7 != 6)).to_pylist()
    for index in (0, 63, 64, 65, 128, N - 1):
        examples = store.examples(index)
        assert [(row["stratum"], row["rank"]) for row in examples] == (
            [("top", 0), ("top", 1), ("top", 2), ("q4", 0), ("q1", 0), ("none", 0)] if index % 7 != 6 else []
        )
        own = [row for row in every if row["feature"] == index]
        assert sorted(examples, key=lambda row: row["sample"]) == own
    assert [row["stratum"] for row in store.examples(0, "q1")] == ["q1"]


def test_a_dead_feature_has_a_row_and_no_examples(store: FeatureStore) -> None:
    assert store.feature(6)["dead"] is True
    assert store.examples(6) == []


@pytest.mark.parametrize("index", [-1, N, 10**12])
def test_an_index_outside_is_not_found(store: FeatureStore, index: int) -> None:
    for ask in (store.feature, store.examples):
        with pytest.raises(NotFound, match=f"no feature {index}; features are 0 to {N - 1}"):
            ask(index)


def test_parts_and_row_groups_hold_whole_features(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FEATURES_PER_PART", 100)
    monkeypatch.setattr(module, "_ROWS_PER_GROUP", 40)
    store = a_store(tmp_path / "x", per_feature=10)
    parts = sorted((tmp_path / "x" / "examples").iterdir())
    seen: list[int] = []
    for part in parts:
        file = pq.ParquetFile(part)
        for group in range(file.num_row_groups):
            table = file.read_row_group(group)
            assert table.num_rows <= 40
            seen += np.unique(table.column("feature").to_numpy()).tolist()
    assert len(parts) == 3
    assert seen == np.flatnonzero(np.arange(N) % 7 != 6).tolist()
    assert all(len(store.examples(index)) == (13 if index % 7 != 6 else 0) for index in range(N))
    assert store.examples_arrow().num_rows == 13 * len(seen)


def test_a_feature_with_very_many_examples_is_one_row_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ROWS_PER_GROUP", 2)
    store = a_store(tmp_path / "x", n=5, per_feature=10)
    assert [len(store.examples(index)) for index in range(5)] == [13] * 5


def test_reading_one_feature_reads_one_row_group(store: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    groups: list[int] = []
    read = pq.ParquetFile.read_row_group

    def counted(self: pq.ParquetFile, group: int, **options: object) -> pa.Table:
        groups.append(group)
        return read(self, group, **options)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", counted)
    store.examples(100)
    assert len(groups) == 1
    parts = sorted((store.folder / "examples").iterdir())
    assert [pq.read_metadata(part).num_row_groups for part in parts] == [28, 28, 10]


def test_parts_as_earlier_versions_wrote_them_are_read(tmp_path: Path) -> None:
    store = a_store(tmp_path / "x")
    every = [store.examples(index) for index in range(N)]
    features = [store.feature(index) for index in range(0, N, 50)]
    table = store.to_arrow().replace_schema_metadata(
        store.to_arrow().schema.metadata | {b"saescope_part_starts": b"[0]"}
    )
    whole = store.examples_arrow()
    for part in (store.folder / "examples").iterdir():
        part.unlink()
    pq.write_table(whole, store.folder / "examples" / "00000.parquet", compression="zstd", row_group_size=len(whole))
    pq.write_table(table, store.folder / "features.parquet", compression="zstd", row_group_size=64)
    store = FeatureStore(tmp_path / "x")
    assert [store.examples(index) for index in range(N)] == every
    assert [store.feature(index) for index in range(0, N, 50)] == features


def test_examples_may_come_in_pieces(tmp_path: Path) -> None:
    live = np.flatnonzero(np.arange(N) % 7 != 6)
    whole = an_examples_table(live)
    cuts = [0, 6 * 10, 6 * 11, 6 * 200, whole.num_rows]
    pieces = (whole.slice(start, end - start) for start, end in itertools.pairwise(cuts))
    write_extraction(tmp_path, a_features_table(N), pieces)
    store = FeatureStore(tmp_path)
    assert store.examples_arrow().equals(whole)
    assert all(len(store.examples(index)) == (6 if index % 7 != 6 else 0) for index in range(N))


def test_an_extraction_without_any_example_is_whole(tmp_path: Path) -> None:
    write_extraction(tmp_path, a_features_table(7), an_examples_table(np.array([], np.int32)))
    store = FeatureStore(tmp_path)
    assert store.examples(3) == []
    assert store.examples_arrow().num_rows == 0


def test_tables_out_of_order_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    examples = an_examples_table(np.arange(10))
    for features, wrong in (
        (a_features_table(10), examples.take(list(reversed(range(60))))),
        (a_features_table(9), examples),
        (a_features_table(10).slice(1), examples),
    ):
        with pytest.raises(ValueError, match=r"features:|examples:"):
            write_extraction(tmp_path, features, wrong)
        assert list(tmp_path.iterdir()) == []


def test_listing_gives_every_feature_dead_ones_included(store: FeatureStore) -> None:
    matching, rows = store.list()
    assert matching == N
    assert indices(rows) == list(range(N))
    assert set(rows.column_names) >= {
        "index",
        "density",
        "active_tokens",
        "active_samples",
        "max",
        "mean",
        "label",
        "dead",
    }


@pytest.mark.parametrize(
    "field", ["density", "active_tokens", "active_samples", "max", "mean", "second_moment", "dead"]
)
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_equal_features_stand_in_order_of_index_and_missing_values_last(
    store: FeatureStore, field: str, order: str
) -> None:
    rows = a_features_table(N).to_pylist()
    sign = 1 if order == "asc" else -1
    expected = sorted(rows, key=lambda row: (row[field] is None, sign * (row[field] or 0), row["index"]))
    _, listed = store.list(sort=field, order=order)  # type: ignore[arg-type]
    assert indices(listed) == [row["index"] for row in expected]
    _, first = store.list(sort=field, order=order, limit=10, where="index>=3")  # type: ignore[arg-type]
    assert indices(first) == [row["index"] for row in expected if row["index"] >= 3][:10]


def test_order_is_the_useful_one_unless_told(store: FeatureStore) -> None:
    assert indices(store.list(limit=2)[1]) == [0, 1]
    assert indices(store.list(order="desc", limit=2)[1]) == [N - 1, N - 2]
    assert indices(store.list(sort="density", limit=2)[1]) == [4, 9]


def test_where_counts_all_that_match_and_limit_cuts_what_is_shown(store: FeatureStore) -> None:
    matching, rows = store.list(where="density<0.03 and not dead", sort="max", limit=5)
    expected = [row for row in a_features_table(N).to_pylist() if row["density"] < 0.03 and not row["dead"]]
    assert matching == len(expected)
    assert rows.num_rows == 5
    assert store.list(where="dead")[0] == N // 7
    assert store.list(limit=0)[1].num_rows == 0


LABELS = {
    2: Label(2, "the Union", "lexical", None, "2026", 0.5),
    9: Label(9, "states of the union", "person", None, "2026", 0.75),
    4: Label(4, "Congress", "lexical", None, "2026", None),
    N + 50: Label(N + 50, "of another SAE", "lexical", None, "2026", 1.0),
}


def as_columns(labels: dict[int, Label]) -> pa.Table:
    kept = [labels[index] for index in sorted(labels)]
    fields = ("feature", "text", "source", "clarity")
    return pa.table({field: [getattr(label, field) for label in kept] for field in fields})


@pytest.mark.parametrize("labels", [LABELS, as_columns(LABELS)], ids=["records", "columns"])
def test_labels_are_shown_sorted_filtered_and_searched(
    store: FeatureStore, labels: dict[int, Label] | pa.Table
) -> None:
    shown = store.list(limit=5, labels=labels)[1]
    assert shown.column("label").to_pylist() == [None, None, "the Union", None, "Congress"]
    assert shown.column("label_source").to_pylist() == [None, None, "lexical", None, "lexical"]
    assert indices(store.list(sort="label", limit=4, labels=labels)[1]) == [4, 9, 2, 0]
    assert indices(store.list(sort="clarity", limit=4, labels=labels)[1]) == [9, 2, 0, 1]
    assert indices(store.list(where="clarity>0.6", labels=labels)[1]) == [9]
    assert indices(store.list(where="label~UNION", labels=labels)[1]) == [2, 9]
    assert indices(store.list(search="Union of", labels=labels)[1]) == [9]
    assert store.list(search="nothing", labels=labels)[0] == 0


def test_search_finds_the_tokens_a_feature_writes(store: FeatureStore) -> None:
    tokens = [f"t{i}" for i in range(20)] + [" Senate"]
    tokens[3] = " Union"
    expected = [index for index in range(N) if index % 11 == 3 or index in (2, 9)]
    assert indices(store.list(search="union", labels=LABELS, tokens=tokens)[1]) == expected
    assert indices(store.list(search="union states", labels=LABELS, tokens=tokens)[1]) == [9]
    assert store.list(search="senate", tokens=pa.array(tokens))[0] == N
    assert store.list(search="union", tokens=tokens[:3])[0] == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"sort": "densty"},
            "sort: there is no field 'densty'; there are: index, .*clarity, detection, .*fuzzing, dead, label",
        ),
        ({"where": "histogram<1"}, "where: there is no field 'histogram'"),
        ({"order": "up"}, "order: 'up'; use asc or desc"),
        ({"limit": -1}, "limit"),
    ],
)
def test_what_cannot_be_listed_is_refused(store: FeatureStore, options: dict[str, object], message: str) -> None:
    with pytest.raises(BadValue, match=message):
        store.list(**options)  # type: ignore[arg-type]


def test_threads_may_share_a_store(store: FeatureStore) -> None:
    failed: list[BaseException] = []

    def ask(first: int) -> None:
        try:
            for index in range(first, N, 8):
                assert store.feature(index)["index"] == index
                assert all(row["feature"] == index for row in store.examples(index))
                store.list(sort="max", limit=3, labels=LABELS)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=ask, args=(first,)) for first in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


def test_missing_and_damaged_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(BrokenHome, match="missing; extract it again"):
        FeatureStore(tmp_path)
    a_store(tmp_path / "x")
    part = tmp_path / "x" / "examples" / "00000.parquet"
    part.write_bytes(part.read_bytes()[:1000])
    with pytest.raises(BrokenHome, match="damaged"):
        FeatureStore(tmp_path / "x").examples(0)
    (tmp_path / "x" / "features.parquet").write_bytes(b"PAR1" * 10)
    with pytest.raises(BrokenHome, match="damaged"):
        FeatureStore(tmp_path / "x")
