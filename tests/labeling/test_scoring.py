"""Scores: true labels above shuffled ones, shuffled ones at chance, nothing given away by place, nothing leaked."""

import random
from itertools import product
from statistics import mean

import pytest

from saescope.labeling import describe, grading
from saescope.labeling.grading import Snippet
from saescope.labeling.scoring import balanced, score_rule, wilson

from . import planted as truth


@pytest.fixture(scope="module")
def features():
    return [(name, text, describe(text), detecting, fuzzed) for name, text, detecting, fuzzed in truth.planted()]


def test_true_labels_rank_above_shuffled_ones(features):
    wins = []
    for at, (_, _, label, detecting, _) in enumerate(features):
        true = score_rule(label.detail["rule"], detecting, [])["detection"].value
        for step in (3, 7, 11):
            other = features[(at + step) % len(features)][2]
            shuffled = score_rule(other.detail["rule"], detecting, [])["detection"].value
            wins.append(true > shuffled)
    assert mean(wins) >= 0.95


def test_shuffled_labels_stand_at_chance(features):
    values, inside = {"detection": [], "fuzzing": []}, []
    for at, (_, _, _, detecting, fuzzed) in enumerate(features):
        other = features[(at + 5) % len(features)][2]
        for name, score in score_rule(other.detail["rule"], detecting, fuzzed).items():
            values[name].append(score.value)
            inside.append(score.low <= 0.5 <= score.high)
    assert abs(mean(values["detection"]) - 0.5) < 0.06
    assert abs(mean(values["fuzzing"]) - 0.5) < 0.06
    assert mean(inside) >= 0.85


def test_a_planted_token_is_named_and_scores_high(features):
    scored = {name: (label, score_rule(label.detail["rule"], *asked)) for name, _, label, *asked in features}
    label, scores = scored["token treaty"]
    assert "treaty" in label.text
    assert scores["detection"].value > 0.9
    assert scores["fuzzing"].value > 0.9
    assert "numbers" in scored["digits"][0].text


def test_no_sample_is_both_written_from_and_graded_with(features):
    for _, text, label, detecting, fuzzed in features:
        written = {each.sample for each in text.examples}
        assert written >= set(label.samples)
        assert written.isdisjoint(each.sample for each in (*fuzzed, *(one for one in detecting if not one.near)))


def test_place_and_length_tell_nothing(features):
    for _, _, _, detecting, fuzzed in features:
        for asked in (detecting, fuzzed):
            sides = {side: [each for each in asked if each.truth is side] for side in (True, False)}
            assert len(sides[True]) == len(sides[False])
            assert sorted(len(each.tokens) for each in sides[True]) == sorted(len(each.tokens) for each in sides[False])
        marks = {side: sorted(each.marks for each in fuzzed if each.truth is side) for side in (True, False)}
        assert marks[True] == marks[False]
    starts = {side: [] for side in (True, False)}
    for _, _, _, detecting, _ in features:
        for each in detecting:
            starts[each.truth].append(each.start)
    assert abs(mean(starts[True]) - mean(starts[False])) < 2.0


def test_half_of_the_silent_snippets_are_near(features):
    detecting = next(asked for name, _, _, asked, _ in features if name == "token treaty")
    silent = [each for each in detecting if not each.truth]
    assert 0.3 <= sum(each.near for each in silent) / len(silent) <= 0.7


def test_the_draw_depends_on_the_seed_alone():
    first, again = ([asked for *_, asked, _ in truth.planted()] for _ in range(2))
    assert first == again


def snippets(active: int, silent: int) -> list[Snippet]:
    return [Snippet(["a"], 1, at, (), at < active) for at in range(active + silent)]


@pytest.mark.parametrize("answer", [True, False])
@pytest.mark.parametrize(("active", "silent"), [(25, 25), (30, 6)])
def test_a_judge_that_always_says_the_same_scores_at_chance(answer, active, silent):
    score = balanced([answer] * (active + silent), snippets(active, silent))
    assert (score.value, score.chance) == (0.5, 0.5)
    assert score.low <= 0.5 <= score.high


def test_a_failed_answer_is_counted_and_is_no_answer():
    score = balanced([True] * 10 + [None] * 5 + [False] * 5, snippets(10, 10))
    assert (score.value, score.n, score.failed) == (1.0, 15, 5)
    assert balanced([None] * 20, snippets(10, 10)).value is None
    assert balanced([True] * 8, snippets(4, 4)) is None


def test_wilson_is_what_the_tables_say():
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    draw, held = random.Random(0), 0
    asked = snippets(25, 25)
    for _ in range(400):
        answers = [draw.random() < (0.8 if each.truth else 0.3) for each in asked]
        score = balanced(answers, asked)
        held += score.low <= 0.75 <= score.high
    assert held / 400 >= 0.92


@pytest.mark.parametrize(("seed", "feature"), list(product((0, 1), (0, 7))))
def test_about_two_fifths_of_the_samples_are_graded(seed, feature):
    assert mean(grading.graded(seed, feature, sample) for sample in range(2000)) == pytest.approx(0.4, abs=0.04)
