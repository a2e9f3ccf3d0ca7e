import pytest

from saescope.labeling import count_words
from saescope.labeling.words import join, root, shown, spell, visible


def keys(*tokens):
    return [key for key, _, _ in join(tokens)]


def test_tokens_that_do_not_begin_with_a_space_continue_the_word():
    assert keys(" Brit", "annic", " Maj", "esty") == ["britannic", "majesty"]
    assert keys("The", "odore", ",", "then") == ["theodore", ",", "then"]


def test_digits_split_one_by_one_make_one_number():
    assert keys(" ", "1", "8", "6", "2", ",") == ["1862", ","]


def test_scripts_without_spaces_are_not_run_together():
    assert keys("日", "本", "語") == ["日", "本", "語"]


def test_line_breaks_are_words_and_spaces_are_not():
    assert keys("a", " ", "\n\n", "b") == ["a", "↵", "b"]


def test_counting_words_joins_them_first():
    assert count_words([[" im", "port", " the"], [" import"]]) == {"import": 2, "the": 1}


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        (" a\u202eb\u200b", "ab"),
        ("\x1b[1m", "[1m"),
        ("\n\r\n\n", "↵"),
        ("  ", "␣"),
        ("\t", "⇥"),
        ("\x00", ""),
        ("", ""),
    ],
)
def test_what_is_shown_holds_no_control_or_bidirectional_characters(text, clean):
    assert visible(text) == clean


@pytest.mark.parametrize(
    "forms",
    [("duty", "duties"), ("ship", "ships"), ("cease", "ceased", "ceasing"), ("nation", "nations"), ("pass",)],
)
def test_forms_of_a_word_have_one_root(forms):
    assert len({root(form) for form in forms}) == 1
    assert all(form.startswith(root(form)) for form in forms)


def test_words_in_a_row_are_spelled_as_in_print():
    assert spell(["Mr", ".", "Speaker"]) == "Mr. Speaker"
    assert spell(["$", "25", ",", "000", "(", "now", ")"]) == "$25,000 (now)"


def test_very_long_words_are_cut():
    assert len(shown("x" * 500)) <= 30
