"""One test for each pattern that a label can name."""

import time
import unicodedata
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saescope.labeling import ExampleText, FeatureText, count_words, describe

from .examples import FILLER, example, feature


def described(*marked, **options):
    return describe(feature(*marked, **options))


def test_one_word_is_named_whatever_its_case_and_leading_space():
    label = described(
        "the power of the «Soviet» empire fell",
        "(«Soviet» troops withdrew)",
        "a «SOVIET» threat to peace",
        "when «Soviet» ships came",
    )
    assert label.text == "“Soviet”"
    assert label.clarity == 1.0
    assert (label.feature, label.source, label.model) == (3, "lexical", None)


def test_pieces_of_a_word_are_joined_to_the_whole_word():
    label = described(
        "a law against fili«bust»ering now",
        "long fili«bust»ering in that house",
        "the fili«bust»ering of a few men",
    )
    assert label.text == "“filibustering”"


def test_a_word_is_shown_in_its_phrase_when_it_is_active_only_there():
    label = described(
        "the envoy of Her Britannic Maj«esty» came; no majesty else",
        "with Britannic Maj«esty» we agreed, and all majesty fades",
        "a treaty with His Britannic Maj«esty», the majesty of law",
        "Britannic Maj«esty» has replied in majesty",
    )
    assert label.text == "“Majesty” in “Britannic Majesty”"
    assert label.detail["precision"] == 1.0


def test_a_phrase_is_named_when_the_peak_wanders_inside_it():
    label = described(
        "the «United» States of old",
        "in the United «States» we",
        "all «United» States ships",
        "by United «States» law",
    )
    assert label.text == "“United States”"


def test_two_words_are_named_together_when_neither_is_enough():
    label = described(
        "we «must» act",
        "they «should» act",
        "he «must» go",
        "all «should» know",
        "it «must» end",
        "men «should» work",
    )
    assert label.text == "“must” or “should”"
    assert label.clarity == 1.0


def test_words_of_one_stem_are_a_family():
    label = described(
        "duties on «imports» rose",
        "a tax on «importation» of wool",
        "the goods «imported» in May",
        "to «import» grain is dear",
        "our «imports» fell",
    )
    assert label.text.startswith("words in “import…” (imports, ")
    assert label.clarity == 1.0


def test_words_with_one_ending_are_a_family():
    label = described(
        "acted «firmly» there",
        "was «justly» said",
        "he «warmly» spoke",
        "it «openly» fell",
        "ran «freely» on",
    )
    assert label.text.startswith("words ending in “…ly” (")


def test_the_same_piece_of_different_words_is_named_as_a_piece():
    label = described(
        "« un»alloyed joy is",
        "an « un»earned income",
        "so « un»mindful men",
        "the « un»broken line",
        "« un»told harm",
    )
    assert label.text.startswith("words with the piece “un” (")


def test_years_are_a_class_though_no_year_repeats():
    label = described(
        "the act of 18«6»2 says",
        "in 17«9»4 we met",
        "since 19«0»1 it stands",
        "by 18«8»8 all was",
        "of 20«0»3 and on",
    )
    assert label.text.startswith("4-digit years (1")
    assert label.detail["pattern"] == "class"


def test_months_are_a_class():
    label = described("on «May» the third", "in «June» we met", "by «March» last", "of «July» next", "in «April» also")
    assert label.text.startswith("months (")


def test_line_breaks_are_shown_as_a_sign():
    label = described(
        "it is done.«\n»We go on", "all is well.«\n»Then we", "no more.«\n»I say", "so be it.«\n»They came"
    )
    assert "↵" in label.text
    assert "\n" not in label.text


def test_a_shared_word_before_different_peaks_is_named():
    label = described(
        "ten dollars per «barrel» of oil",
        "so much per «annum» is due",
        "a rate per «ton» was set",
        "five cents per «mile» paid",
        "the tax per «acre» rose",
    )
    assert label.text == "the word after “per”"


def test_a_shared_word_after_different_peaks_is_named():
    label = described(
        "we are «anxious» lest war",
        "they were «afraid» lest they",
        "he «feared» lest all",
        "be «careful» lest ye",
    )
    assert label.text == "the word before “lest”"


def test_the_first_word_of_a_sentence_is_a_place():
    label = described(
        "It ended. «What» then came",
        "He left. «Here» we stand",
        "All is done. «For» now we",
        "It failed. «Such» is life",
        "I know. «Peace» came",
    )
    assert label.text.startswith("the first word of a sentence (")


def test_the_first_words_of_a_sample_are_a_place():
    label = described(
        "«mode» of rule", "«ship» came by", "«their» own law", "«never» so well", "«of» that day", start=1
    )
    assert label.text == "the first words of a sample"


def test_words_said_again_are_a_pattern():
    label = described(
        "Thank you. Now «thank» him",
        "high taxes are high; «taxes» harm",
        "a farm is a «farm» still",
        "no peace without «peace» here",
        "gold for the «gold» of men",
    )
    assert label.text.startswith("a word said again (")


def test_a_topic_is_named_when_the_peaks_share_nothing():
    background = count_words([example(text.replace("The", "«The»")).tokens for text in FILLER * 40])
    label = describe(
        feature(
            "the tariff on wool «hurts» all",
            "no «single» tariff can serve",
            "protective duties and tariff «rates»",
            "«revision» of our tariff now",
            "a «just» tariff lowers duties",
            contrast=False,
        ),
        background,
    )
    assert label.text.startswith("about: tariff")
    assert label.detail["chance"] < 0.1


def test_without_a_pattern_the_label_says_so_and_names_the_peaks():
    label = described(
        "a «stone» fell",
        "we «walk» home",
        "the «green» hill",
        "some «quiet» hour",
        "that «river» ran",
        "few «songs» end",
    )
    assert label.text.startswith("unclear: peaks on “")
    assert label.clarity is not None
    assert label.clarity < 0.3


def test_a_word_that_is_often_met_without_activation_is_worth_less_than_its_context():
    label = described(
        "the ship and the state «of» the union of men",
        "of all the laws of the state «of» Maine of old",
        "the end of the state «of» war of nations",
        "fear of the sad state «of» trade of late",
    )
    assert label.text == "“of” in “state of”"


def test_what_a_feature_writes_is_named_only_when_it_follows_or_agrees():
    peaks = [
        "the «United» States are",
        "in «United» Nations then",
        "all «United» States law",
        "«United» States men",
    ]
    follows = described(*peaks, writes=[" States", "zx", "qq", " of"])
    assert follows.text.endswith("; promotes “States”")
    noise = described(*peaks, writes=["iflower", "ptomatic", " jsonify"])
    assert "promotes" not in noise.text


def test_a_feature_without_top_examples_has_no_description():
    assert describe(FeatureText(0, [])).text == "no examples"
    assert describe(FeatureText(0, [example("some «word»", 0.0, "none")])).clarity == 0.0


def test_clarity_weighs_examples_by_the_root_of_their_activation():
    strong, weak = example("the «Soviet» fleet", 9.0), example("some «other» word", 1.0)
    assert describe(FeatureText(0, [strong, strong, weak])).clarity == pytest.approx(6 / 7, abs=1e-4)


def test_what_only_one_example_has_is_no_pattern():
    texts = ("the «Soviet» fleet", "some «other» word", "a «third» thing")
    label = describe(FeatureText(0, [example(text, 9.0) for text in texts]))
    assert label.text.startswith("unclear: peaks on ")


def test_nothing_is_claimed_of_a_feature_with_one_or_two_examples():
    label = describe(FeatureText(0, [example("the «Soviet» fleet", 9.0), example("a «Soviet» plan", 9.0)]))
    assert (label.text, label.clarity) == ("rare: peaks on “Soviet”", 0.0)


def test_the_created_date_is_the_callers():
    assert describe(feature("a «b» c"), created="2026-01-01").created == "2026-01-01"


def test_labels_do_not_depend_on_what_was_described_before():
    texts = ["the «Soviet» fleet", "our «Soviet» pact", "a «red» flag", "the «red» flag", "we «go»"]
    first = describe(feature(*texts))
    describe(feature("some «other» words", "of «no» use"))
    assert describe(feature(*texts)) == first


WEIRD = st.text(st.characters(), max_size=6) | st.sampled_from(
    [
        "",
        " ",
        "\n",
        "\n\n",
        "\t",
        "\u202e",
        "\u200b",
        "\x1b[31m",
        "\ufeff",
        "�",
        " the",
        "ing",
        "1",
        ",",
        "“",
        "日本",
        "e\u0301",
    ]
)
VALUES = st.floats(0, 50) | st.sampled_from([0.0, float("nan"), float("inf")])


@st.composite
def windows(draw):
    tokens = draw(st.lists(WEIRD, max_size=12))
    activations = draw(st.lists(VALUES, min_size=len(tokens), max_size=len(tokens)))
    stratum = draw(st.sampled_from(["top", "top", "none", "q2"]))
    return ExampleText(tokens, activations, draw(st.integers(0, 12)), stratum, draw(st.none() | st.integers(0, 200)))


@settings(max_examples=150, deadline=None)
@given(st.lists(windows(), max_size=8), st.lists(WEIRD, max_size=5), st.booleans())
def test_any_text_gives_a_short_clean_label(examples, writes, with_background):
    background = Counter({"the": 100, "ing": 3}) if with_background else None
    label = describe(FeatureText(1, examples, writes, 0.1), background)
    assert 0 < len(label.text) <= 80
    assert all(unicodedata.category(character)[0] != "C" for character in label.text)
    assert 0.0 <= label.clarity <= 1.0
    assert describe(FeatureText(1, examples, writes, 0.1), background) == label
    label.to_json()


def test_a_hundred_features_take_a_fraction_of_a_second():
    texts = [f"{FILLER[at % 4][:60]} w{chr(97 + at % 9)}«ord»s {FILLER[(at + 1) % 4][:60]}" for at in range(40)]
    one = feature(*texts)
    began = time.process_time()
    for _ in range(100):
        describe(one)
    assert time.process_time() - began < 3  # 4,096 features in some ten seconds; this machine may be busy
