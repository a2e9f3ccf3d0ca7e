"""Shaded tokens."""

import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from saescope.cli.show import tokens

RECORD = {
    "tokens": [" one", " two", " three", " four"],
    "activations": [0.0, 0.1, 8.0, 4.0],
    "peak": 12,
    "start": 10,
    "activation": 8.0,
}


def console(**options):
    return Console(file=io.StringIO(), **options)


def test_the_peak_is_marked_with_signs_where_there_is_no_colour():
    shades = tokens.scale(console())
    assert tokens.example(RECORD, 8.0, shades, 40).plain.strip() == "one two «three» four"


def test_the_peak_is_bold_and_underlined_and_shades_rise_where_there_is_colour():
    for system in ("truecolor", "256", "standard"):
        shades = tokens.scale(console(force_terminal=True, color_system=system))
        text = tokens.run(RECORD["tokens"], RECORD["activations"], 8.0, shades, peak=2)
        weak, peak, half = text.spans[0].style, text.spans[1].style, text.spans[2].style
        assert peak.bold
        assert peak.underline
        assert not weak.bold
        assert len({str(weak), str(half), str(peak)}) == (2 if system == "standard" else 3)
        assert text.plain == " one two three four"


def test_no_colour_keeps_the_signs(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    assert tokens.scale(console(force_terminal=True)).marks


@pytest.mark.parametrize("left", [[], [" a"], [" word"] * 40, ["日本"] * 40])
@pytest.mark.parametrize("right", [[], [" word"] * 40, ["日本"] * 40])
@pytest.mark.parametrize("width", [20, 51, 100])
def test_peaks_stand_in_one_column_and_lines_keep_their_width(left, right, width):
    words = [*left, " peak", *right]
    record = {
        "tokens": words,
        "activations": [float(word == " peak") for word in words],
        "peak": len(left),
        "start": 0,
        "activation": 1.0,
    }
    line = tokens.example(record, 1.0, tokens.scale(console()), width).plain
    assert cell_len(line[: line.index("«peak»")]) == int(0.46 * width)
    assert cell_len(line) <= width


def test_a_silent_sample_has_no_peak():
    record = {**RECORD, "activations": [0.0] * 4, "activation": 0.0}
    assert "«" not in tokens.example(record, 8.0, tokens.scale(console()), 40).plain


def test_tokens_cannot_steer_the_terminal():
    text = tokens.run(["\x1b[2J", "\n", "\u202e", "[red]x[/red]"], [0.0] * 4, 1.0, tokens.scale(console()), peak=0)
    assert text.plain == "«␛[2J»↵‹202e›[red]x[/red]"


def test_a_sparkline_has_one_sign_for_each_value():
    assert tokens.sparkline([0, 1, 4, 8]) == " ▁▄█"
    assert tokens.sparkline([0, 0]) == "  "
    assert tokens.sparkline([0, 1, 1000], log=True) == " ▁█"
