"""Words and numbers of a terminal."""

import unicodedata

import pytest

from saescope.cli.show import words


def test_no_control_or_direction_character_survives():
    everything = "".join(map(chr, range(0x110000)))
    for lines in (False, True):
        left = {c for c in words.clean(everything, lines) if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")}
        assert left == ({"\n"} if lines else set())
    assert words.clean("a\u202eb\u2066c\u200fd") == "a‹202e›b‹2066›c‹200f›d"
    assert words.clean("\x1b]0;owned\x07 \x9b31m") == "␛]0;owned␇ ‹9b›31m"


def test_ordinary_text_of_any_language_is_left_alone():
    for text in ("Ünï “quoted” — дом 日本 עברית हिन्दी", "👩‍💻 a+b≤c", "[bold]no markup[/bold] :smile:"):
        assert words.clean(text) == text


@pytest.mark.parametrize(
    ("share", "shown"),
    [
        (0.0042, "0.42 %"),
        (0.000_123, "0.012 %"),
        (0.0, "0 %"),
        (1.0, "100.00 %"),
        (None, "–"),
        (float("nan"), "–"),
    ],
)
def test_density_is_percent_with_two_decimals_or_three_below_a_tenth(share, shown):
    assert words.percent(share) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(3.21, "3.2 s"), (59.97, "1 min 00 s"), (245, "4 min 05 s"), (3720, "1 h 02 min"), (None, "–")],
)
def test_durations_read_like_speech(seconds, shown):
    assert words.duration(seconds) == shown


def test_compact_numbers_keep_three_figures():
    assert [words.compact(n) for n in (0, 999, 1_900, 455_000, 1_230_000)] == [
        "0",
        "999",
        "1.9k",
        "455k",
        "1.2M",
    ]
