"""From answers to a score: a value, how many answers, a 95 % interval, what chance gives, what failed."""

import math
from collections.abc import Sequence

from ..records import Score
from .grading import Snippet
from .rules import Rule, Window, holds, tells_tokens

_Z = 1.959963984540054
"""The normal quantile of a 95 % interval."""
FEW = 5
"""With fewer snippets of either kind there is no score: a perfect one would say nothing."""


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
    (1998). None where fewer than FEW snippets stand on either side.
    """
    right, asked = {True: 0, False: 0}, {True: 0, False: 0}
    failed = 0
    for answer, question in zip(answers, questions, strict=True):
        if answer is None:
            failed += 1
            continue
        asked[question.truth] += 1
        right[question.truth] += answer == question.truth
    if min(sum(question.truth == side for question in questions) for side in (True, False)) < FEW:
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
