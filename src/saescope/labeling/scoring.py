"""From answers to a score: a value, how many answers, a 95 % interval, what chance gives, what failed."""

import math
import random
from collections.abc import Callable, Sequence

from ..records import Score
from .grading import Snippet
from .rules import Rule, Window, holds, tells_tokens

_Z = 1.959963984540054
"""The normal quantile of a 95 % interval."""
_RESAMPLES = 500


def wilson(hits: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share (Wilson 1927)."""
    if n == 0:
        return 0.0, 1.0
    share, z2 = hits / n, _Z * _Z
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return max(0.0, middle - half), min(1.0, middle + half)


def balanced(answers: Sequence[bool | None], questions: Sequence[Snippet], judge: str = "rule") -> Score | None:
    """Balanced accuracy: the mean of the shares of active and of silent snippets that were told right.

    An answer of None failed. The interval joins the Wilson intervals of both shares by Newcombe's square-and-add
    (1998). None where nothing was asked of one of the two sides.
    """
    right, asked = {True: 0, False: 0}, {True: 0, False: 0}
    failed = 0
    for answer, question in zip(answers, questions, strict=True):
        if answer is None:
            failed += 1
            continue
        asked[question.truth] += 1
        right[question.truth] += answer == question.truth
    sides = {question.truth for question in questions}
    if len(sides) < 2:
        return None
    n = asked[True] + asked[False]
    if not asked[True] or not asked[False]:
        return Score(None, n, None, None, 0.5, failed, judge)
    shares = [right[side] / asked[side] for side in (True, False)]
    limits = [wilson(right[side], asked[side]) for side in (True, False)]
    value = sum(shares) / 2
    below = math.hypot(*(share - low for share, (low, _) in zip(shares, limits, strict=True))) / 2
    above = math.hypot(*(high - share for share, (_, high) in zip(shares, limits, strict=True))) / 2
    return Score(
        round(value, 4), n, round(max(0.0, value - below), 4), round(min(1.0, value + above), 4), 0.5, failed, judge
    )


def share(hits: int, n: int, chance: float, failed: int, judge: str) -> Score:
    """How often a choice was right."""
    if n == 0:
        return Score(None, 0, None, None, chance, failed, judge)
    low, high = wilson(hits, n)
    return Score(round(hits / n, 4), n, round(low, 4), round(high, 4), chance, failed, judge)


def correlation(pairs: Sequence[tuple[Sequence[float], Sequence[float]]], failed: int, judge: str) -> Score:
    """Pearson's r of predicted and true activations over all tokens; the interval is a bootstrap over snippets."""
    return _bootstrapped(pairs, lambda some: _pearson(some), len(pairs), 0.0, failed, judge)


def mean(values: Sequence[float], chance: float, failed: int, judge: str) -> Score:
    """A mean with a bootstrap interval."""
    return _bootstrapped(values, lambda some: sum(some) / len(some), len(values), chance, failed, judge)


def _bootstrapped(
    items: Sequence, value: Callable[[Sequence], float], n: int, chance: float, failed: int, judge: str
) -> Score:
    if n == 0:
        return Score(None, 0, None, None, chance, failed, judge, "bootstrap")
    draw = random.Random(0)
    again = sorted(value(draw.choices(items, k=n)) for _ in range(_RESAMPLES))
    low, high = again[int(0.025 * _RESAMPLES)], again[int(0.975 * _RESAMPLES)]
    return Score(round(value(items), 4), n, round(low, 4), round(high, 4), chance, failed, judge, "bootstrap")


def _pearson(pairs: Sequence[tuple[Sequence[float], Sequence[float]]]) -> float:
    guessed = [float(value) for guess, _ in pairs for value in guess]
    true = [float(value) for _, values in pairs for value in values]
    n = len(true)
    if n == 0:
        return 0.0
    a, b = sum(guessed) / n, sum(true) / n
    covariance = sum((x - a) * (y - b) for x, y in zip(guessed, true, strict=True))
    spread = math.sqrt(sum((x - a) ** 2 for x in guessed) * sum((y - b) ** 2 for y in true))
    return covariance / spread if spread > 0 else 0.0


def score_rule(rule: Rule | None, detecting: Sequence[Snippet], fuzzed: Sequence[Snippet]) -> dict[str, Score]:
    """Detection and fuzzing of a rule, without any LLM; a rule about topics has no fuzzing, none has no scores."""
    scores: dict[str, Score | None] = {}
    if rule is not None:
        answers = [bool(holds(rule, Window(each.tokens, each.start))) for each in detecting]
        scores["detection"] = balanced(answers, detecting)
        if tells_tokens(rule):
            told = [not holds(rule, Window(each.tokens, each.start)).isdisjoint(each.marks) for each in fuzzed]
            scores["fuzzing"] = balanced(told, fuzzed)
    return {name: score for name, score in scores.items() if score is not None}
