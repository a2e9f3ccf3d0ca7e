import time
from dataclasses import replace

import pyarrow as pa
import pytest

from saescope.errors import NotFound
from saescope.records import Extraction, Label, Score
from saescope.store import Database
from saescope.store.labels import add_labels, choose_label, current_label_columns, current_labels, label_history


def a_label(feature: int, text: str, clarity: float | None = 0.5, source: str = "lexical") -> Label:
    return Label(feature, text, source, None, "2026-11-23T19:00:00Z", clarity, {"tokens": ["a", "é"], "share": 0.25})


def test_labels_come_back_as_they_went_in(db: Database, extraction: Extraction) -> None:
    labels = [a_label(0, "first"), a_label(7, "naïve ☃", None, "person")]
    assert add_labels(db, extraction.id, iter(labels)) == 2
    assert current_labels(db, extraction.id) == {0: labels[0], 7: labels[1]}
    assert current_labels(db, "other") == {}


def test_the_label_written_last_is_current_and_the_others_are_kept(db: Database, extraction: Extraction) -> None:
    for text in ("one", "two", "three"):
        add_labels(db, extraction.id, [a_label(5, text)])
    assert current_labels(db, extraction.id)[5].text == "three"
    assert [label.text for label in label_history(db, extraction.id, 5)] == ["three", "two", "one"]
    assert label_history(db, extraction.id, 6) == []


def test_some_features_can_be_asked_for(db: Database, extraction: Extraction) -> None:
    add_labels(db, extraction.id, [a_label(i, f"label {i}") for i in range(0, 6000, 2)])
    assert set(current_labels(db, extraction.id, [0, 1, 2, 5998, 7000])) == {0, 2, 5998}
    assert set(current_labels(db, extraction.id, range(2500))) == set(range(0, 2500, 2))
    assert set(current_labels(db, extraction.id, range(1, 5990))) == set(range(2, 5990, 2))
    assert current_labels(db, extraction.id, []) == {}


def test_labels_as_columns(db: Database, extraction: Extraction) -> None:
    assert current_label_columns(db, extraction.id).num_rows == 0
    unscored = {"detection": None, "detection_low": None, "fuzzing": None}
    add_labels(db, extraction.id, [a_label(3, "old"), a_label(1, "b", None), a_label(3, "new")])
    assert current_label_columns(db, extraction.id).to_pylist() == [
        {"feature": 1, "text": "b", "source": "lexical", "clarity": None, **unscored},
        {"feature": 3, "text": "new", "source": "lexical", "clarity": 0.5, **unscored},
    ]
    scored = replace(a_label(3, "scored"), scores={"detection": Score(0.9, 20, 0.7, 0.97, 0.5)})
    add_labels(db, extraction.id, [scored])
    shown = current_label_columns(db, extraction.id, [3]).to_pylist()[0]
    assert (shown["detection"], shown["detection_low"]) == (0.9, 0.7)
    assert isinstance(current_label_columns(db, extraction.id), pa.Table)


def test_all_labels_are_added_or_none(db: Database, extraction: Extraction) -> None:
    def broken() -> object:
        yield from (a_label(i, "x") for i in range(15_000))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        add_labels(db, extraction.id, broken())  # type: ignore[arg-type]
    assert current_labels(db, extraction.id) == {}


@pytest.mark.parametrize(
    "text", ["nul \0 byte", "half \ud83d pair", "=cmd()", "\u202e right to left", "", "x" * 100_000]
)
def test_any_text_can_be_stored(db: Database, extraction: Extraction, text: str) -> None:
    add_labels(db, extraction.id, [Label(0, text, "llm", "m", "2026", None, {"nan": float("nan"), "text": "nul \0"})])
    label = current_labels(db, extraction.id)[0]
    assert len(label.text) == len(text)
    assert label.detail["nan"] is None


def test_tens_of_thousands_of_labels_take_seconds(db: Database, extraction: Extraction) -> None:
    start = time.process_time()
    add_labels(db, extraction.id, (a_label(i, f"label {i}") for i in range(32_768)))
    assert len(current_labels(db, extraction.id)) == 32_768
    assert time.process_time() - start < 15


def test_the_shown_label_follows_one_rule(db: Database, extraction: Extraction) -> None:
    def scored(text: str, value: float | None, source: str = "llm") -> Label:
        return replace(a_label(1, text, source=source), scores={"detection": Score(value, 50, 0.1, 0.9, 0.5)})

    def shown() -> str:
        history = label_history(db, extraction.id, 1)
        assert current_labels(db, extraction.id)[1] == history[0]
        assert [label.shown for label in history] == [True] + [False] * (len(history) - 1)
        return history[0].text

    for label, expected in (
        (a_label(1, "first"), "first"),
        (scored("good", 0.9), "good"),
        (scored("worse, but newer", 0.7), "good"),
        (scored("failed", None), "good"),
        (a_label(1, "mine", source="person"), "mine"),
        (scored("best", 1.0), "mine"),
        (a_label(1, "mine again", source="person"), "mine again"),
    ):
        add_labels(db, extraction.id, [label])
        assert shown() == expected
    ids = {label.text: label.id for label in label_history(db, extraction.id, 1)}
    choose_label(db, extraction.id, 1, ids["worse, but newer"])
    assert shown() == "worse, but newer"
    assert current_label_columns(db, extraction.id).column("detection").to_pylist() == [0.7]
    choose_label(db, extraction.id, 1, None)
    assert shown() == "mine again"
    with pytest.raises(NotFound):
        choose_label(db, extraction.id, 2, ids["first"])
    assert len(label_history(db, extraction.id, 1)) == 7
