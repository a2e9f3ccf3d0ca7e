import pytest
from hypothesis import given
from hypothesis import strategies as st

from saescope.errors import BadValue, NotFound, WrongRequest
from saescope.labeling import parse_features


def test_all_names_every_feature():
    assert parse_features("all", 4) == [0, 1, 2, 3]
    assert parse_features(" ALL ", 2) == [0, 1]
    assert parse_features("all", 0) == []


def test_indices_and_ranges_are_merged_and_sorted():
    assert parse_features("7, 0-2,1-3 ,7", 10) == [0, 1, 2, 3, 7]
    assert parse_features("9", 10) == [9]
    assert parse_features("0 - 1", 10) == [0, 1]


@pytest.mark.parametrize("text", ["", "x", "1,", "-3", "1--2", "1-", "1.5", "0x3", "1 2", "٣", "1-2-3", "all,3", "+1"])
def test_nonsense_is_refused_with_what_to_write(text):
    with pytest.raises(BadValue, match="0-99,512"):
        parse_features(text, 100)


def test_a_range_that_runs_backwards_is_refused():
    with pytest.raises(BadValue, match="'9-3' runs backwards; write 3-9"):
        parse_features("9-3", 100)


@pytest.mark.parametrize("text", ["100", "0-100", "99999999999"])
def test_a_feature_that_is_not_there_is_not_found(text):
    with pytest.raises(NotFound, match="among 100; features are numbered 0 to 99"):
        parse_features(text, 100)


@given(st.text(max_size=12), st.integers(0, 50))
def test_any_text_is_read_or_refused(text, total):
    try:
        chosen = parse_features(text, total)
    except WrongRequest:
        return
    assert chosen == sorted(set(chosen))
    assert all(0 <= index < total for index in chosen)
