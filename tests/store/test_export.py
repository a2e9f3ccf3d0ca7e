import csv
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from saescope.errors import BadSource, BadValue, NameTaken
from saescope.records import Label
from saescope.store.export import export_features
from saescope.store.features import FeatureStore, write_extraction
from support.catalogue import a_features_table, an_examples_table

LABELS = {
    0: Label(0, 'she said "union", then left\nthe room', "lexical", None, "2026", 0.5),
    1: Label(1, "=HYPERLINK(1)", "lexical", None, "2026", None),
    2: Label(2, "-2+3", "person", None, "2026", 1.0),
    3: Label(3, "@SUM(1)", "llm", "m", "2026", 1.0),
    4: Label(4, "+1", "llm", "m", "2026", 1.0),
    5: Label(5, "\tx", "llm", "m", "2026", 1.0),
    7: Label(7, "\rx", "llm", "m", "2026", 1.0),
    8: Label(8, "a\n=1", "llm", "m", "2026", 1.0),
}


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    (tmp_path / "x").mkdir()
    write_extraction(tmp_path / "x", a_features_table(20), an_examples_table(np.arange(5)))
    return FeatureStore(tmp_path / "x")


def test_parquet_holds_every_column(store: FeatureStore, tmp_path: Path) -> None:
    assert export_features(store, LABELS, tmp_path / "out.parquet") == 20
    table = pq.read_table(tmp_path / "out.parquet")
    assert table.select(store.to_arrow().column_names).equals(store.to_arrow())
    assert table.column("label").to_pylist()[1] == "=HYPERLINK(1)"


def test_json_lines_hold_every_feature(store: FeatureStore, tmp_path: Path) -> None:
    export_features(store, LABELS, tmp_path / "out.JSONL")
    rows = [json.loads(line) for line in (tmp_path / "out.JSONL").read_text(encoding="utf-8").split("\n")[:-1]]
    assert [row["index"] for row in rows] == list(range(20))
    assert rows[0]["label"] == LABELS[0].text
    assert rows[6]["mean"] is None
    assert rows[3]["histogram"] == [0, 40, 0]


def test_csv_keeps_numbers_and_defuses_formulas(store: FeatureStore, tmp_path: Path) -> None:
    export_features(store, LABELS, tmp_path / "out.csv")
    with open(tmp_path / "out.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 20
    shown = {index: rows[index]["label"] for index in LABELS}
    assert shown == {
        **{index: label.text for index, label in LABELS.items()},
        1: "'=HYPERLINK(1)",
        2: "'-2+3",
        3: "'@SUM(1)",
        4: "'+1",
        5: "'\tx",
        7: "'\rx",
    }
    assert float(rows[3]["density"]) == 0.04
    assert json.loads(rows[3]["histogram"]) == [0, 40, 0]
    assert json.loads(rows[3]["writes_most_logits"]) == [0.5, 0.25]
    assert rows[6]["mean"] == ""


def test_an_unknown_suffix_is_refused(store: FeatureStore, tmp_path: Path) -> None:
    for name in ("out.xlsx", "out"):
        with pytest.raises(BadValue, match=r"use \.parquet, \.csv, \.jsonl"):
            export_features(store, LABELS, tmp_path / name)


def test_an_existing_file_is_kept_unless_told(store: FeatureStore, tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text("mine")
    with pytest.raises(NameTaken, match="already there"):
        export_features(store, LABELS, path)
    assert path.read_text() == "mine"
    export_features(store, None, path, overwrite=True)
    assert path.read_text().startswith('"index"')


def test_a_missing_folder_is_named(store: FeatureStore, tmp_path: Path) -> None:
    with pytest.raises(BadSource, match="is not there"):
        export_features(store, LABELS, tmp_path / "no" / "out.csv")


def test_nothing_is_left_beside(store: FeatureStore, tmp_path: Path) -> None:
    export_features(store, LABELS, tmp_path / "out.csv")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.csv", "x"]
