import contextlib

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from saescope.errors import BadValue
from saescope.store.where import Condition, parse_where


def read(text: str) -> list[Condition]:
    return parse_where(text, numbers=["density", "max"], flags=["dead"], texts=["label"])


def test_conditions_are_joined_by_and_or_a_comma() -> None:
    expected = [
        Condition("density", "<", 0.01),
        Condition("dead", "is not", None),
        Condition("label", "~", "union"),
    ]
    for text in (
        "density<0.01 and not dead and label~union",
        "density < 1e-2, NOT dead ,label~'union'",
        ' density<.01,not dead AND label~"union" ',
    ):
        assert read(text) == expected


@pytest.mark.parametrize("op", ["<", "<=", ">", ">=", "=", "==", "!="])
def test_every_comparison_compares(op: str) -> None:
    values = [1.0, 2.0, 3.0]
    python = {"=": "=="}.get(op, op)
    held = read(f"max{op}2")[0].holds(pa.array([*values, None])).to_pylist()
    comparisons = {
        "<": [1, 0, 0],
        "<=": [1, 1, 0],
        ">": [0, 0, 1],
        ">=": [0, 1, 1],
        "==": [0, 1, 0],
        "!=": [1, 0, 1],
    }
    assert held == [*map(bool, comparisons[python]), False]


def test_a_quoted_text_may_hold_blanks_commas_and_and() -> None:
    assert read("label~'war and peace, both'") == [Condition("label", "~", "war and peace, both")]


def test_a_text_is_matched_as_it_stands_and_whatever_its_case() -> None:
    held = read("label~A.C")[0].holds(pa.array(["xa.cx", "abc", None]))
    assert held.to_pylist() == [True, False, False]


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", ",", "<3", "density", "density<", "density<x", "density<1 and", "density<1,,max>2"),
        *("density<1 or max>2", "density<1 max>2", "density<1;drop", "__import__('os')"),
        *("not density<1", "density~a", "dead=1", "label", "label=a"),
    ],
)
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(BadValue, match=r"^where: "):
        read(text)


def test_an_unknown_field_lists_the_known_ones() -> None:
    with pytest.raises(BadValue, match="where: there is no field 'densty'; there are: density, max, dead, label"):
        read("densty<1")


@given(st.text(alphabet=st.sampled_from("density dead not and label,<>=~!'\"0.1e-9"), max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(BadValue):
        assert read(text)
