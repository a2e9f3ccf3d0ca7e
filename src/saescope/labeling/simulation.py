"""Simulation: how well do activations that are guessed from a label follow the real ones? (Bills et al. 2023)

The score is Pearson's correlation over all tokens of some active and some silent snippets; a guess that is always the
same has 0, which is also what chance gives. Its interval is a bootstrap over snippets: tokens of one text are no
independent draws.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..records import Score
from .grading import Snippet, hashed
from .prompts import Prompt, Rendered, data_block, read_numbers, snippet
from .rules import Rule, Window, holds, tells_tokens
from .scoring import FEW

SNIPPETS, PER_CALL, WIDTH = 10, 5, 16
"""Snippets in a score and in a call, and tokens of each."""
_DRAWS = 1000


def chosen(snippets: Sequence[Snippet]) -> list[Snippet]:
    """Active and silent snippets in turns, each cut to some tokens around its peak."""
    sides = [[each for each in snippets if each.truth is side] for side in (True, False)]
    return [_cut(each) for pair in zip(*sides, strict=False) for each in pair][:SNIPPETS]


def simulation_questions(
    prompt: Prompt, label: str, snippets: Sequence[Snippet]
) -> list[tuple[Rendered, list[Snippet]]]:
    """Each call, with the snippets that it asks about."""
    questions = []
    for start in range(0, len(snippets), PER_CALL):
        some = list(snippets[start : start + PER_CALL])
        lines = [
            f"{at}. ({len(each.tokens)}) " + " | ".join(snippet([token]) or "␣" for token in each.tokens)
            for at, each in enumerate(some, 1)
        ]
        count = sum(len(each.tokens) for each in some)
        questions.append((prompt.render(count, 10, label=data_block([label]), snippets=data_block(lines)), some))
    return questions


def read_simulation(answer: object, some: Sequence[Snippet]) -> list[list[float] | None]:
    """What was guessed for each snippet of a call; None for every one where the answer cannot be read."""
    count = sum(len(each.tokens) for each in some)
    numbers = read_numbers(answer, count, 10) if isinstance(answer, str) else None
    if numbers is None:
        return [None] * len(some)
    ends = np.cumsum([len(each.tokens) for each in some])
    return [[float(value) for value in part] for part in np.split(np.array(numbers), ends[:-1])]


def simulate_rule(rule: Rule | None, snippets: Sequence[Snippet]) -> Score | None:
    """The same for a rule, without any LLM: 1 on the tokens on which it holds."""
    if rule is None or not tells_tokens(rule):
        return None
    some = chosen(snippets)
    held = [holds(rule, Window(each.tokens, each.start)) for each in some]
    guessed = [[float(at in tokens) for at in range(len(each.tokens))] for each, tokens in zip(some, held, strict=True)]
    return correlation(guessed, some, "rule")


def correlation(guessed: Sequence[Sequence[float] | None], snippets: Sequence[Snippet], judge: str) -> Score | None:
    """Pearson's correlation, with a bootstrap interval; None with fewer than FEW snippets."""
    if len(snippets) < FEW:
        return None
    pairs = [(np.array(g), np.array(s.activations)) for g, s in zip(guessed, snippets, strict=True) if g is not None]
    failed = len(snippets) - len(pairs)
    if not pairs:
        return Score(None, 0, None, None, 0.0, failed, judge, "bootstrap")
    value, low, high = bootstrap(pairs, _pearson, snippets[0].sample)
    return Score(round(value, 4), len(pairs), round(low, 4), round(high, 4), 0.0, failed, judge, "bootstrap")


def bootstrap(items: Sequence[Any], measure: Callable[[Sequence[Any]], float], seed: int) -> tuple[float, float, float]:
    """(value, low, high): the measure of all, and the middle 95 % of it over draws with putting back."""
    draw = np.random.default_rng(hashed("bootstrap", seed))
    drawn = draw.integers(0, len(items), (_DRAWS, len(items)))
    values = [measure([items[at] for at in row]) for row in drawn]
    value = measure(items)
    low, high = np.quantile(values, (0.025, 0.975))
    return value, min(float(low), value), max(float(high), value)


def _pearson(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> float:
    guessed, real = (np.concatenate(each) for each in zip(*pairs, strict=True))
    guessed, real = guessed - guessed.mean(), real - real.mean()
    norm = float(np.sqrt((guessed @ guessed) * (real @ real)))
    return float(guessed @ real) / norm if norm > 1e-12 else 0.0


def _cut(each: Snippet) -> Snippet:
    """The tokens around the strongest; of a silent one, the middle."""
    peak = int(np.argmax(each.activations)) if each.truth else len(each.tokens) // 2
    begin = max(0, min(peak - WIDTH // 2, len(each.tokens) - WIDTH))
    end = begin + WIDTH
    start = None if each.start is None else each.start + begin
    return each._replace(tokens=each.tokens[begin:end], activations=each.activations[begin:end], start=start)
