"""Intruder: do a feature's examples have anything in common at all? Asked without any label.

Of four windows three are active and one is silent; the judge has to find that one. Chance is a quarter. It measures the
feature and not the label: where it stands at chance, no label can be right.
"""

from collections.abc import Sequence

from ..records import Score
from .grading import Snippet, hashed
from .prompts import Prompt, Rendered, data_block, read_numbers, snippet
from .scoring import FEW, wilson

GROUP, GROUPS = 4, 8
"""Windows in a group, and groups in a score: one call."""


def groups(snippets: Sequence[Snippet]) -> list[tuple[list[Snippet], int]]:
    """(windows, place of the intruder from 1) of each group; no window stands in two."""
    active = [each for each in snippets if each.truth]
    silent = [each for each in snippets if not each.truth]
    made = []
    for number in range(min(GROUPS, len(active) // (GROUP - 1), len(silent))):
        some = active[number * (GROUP - 1) : (number + 1) * (GROUP - 1)]
        place = hashed("intruder", silent[number].sample, silent[number].start) % GROUP
        made.append(([*some[:place], silent[number], *some[place:]], place + 1))
    return made


def intruder_question(prompt: Prompt, made: Sequence[tuple[Sequence[Snippet], int]]) -> Rendered:
    """All groups in one call."""
    lines = [
        f"group {number}, snippet {at}: {snippet(each.tokens)}"
        for number, (some, _) in enumerate(made, 1)
        for at, each in enumerate(some, 1)
    ]
    return prompt.render(len(made), GROUP, snippets=data_block(lines))


def score_intruders(answer: object, made: Sequence[tuple[Sequence[Snippet], int]], judge: str) -> Score | None:
    """The share of intruders found; None with fewer than FEW groups."""
    if len(made) < FEW:
        return None
    told = read_numbers(answer, len(made), GROUP) if isinstance(answer, str) else None
    chance = 1 / GROUP
    if told is None:
        return Score(None, 0, None, None, chance, len(made), judge)
    hits = sum(number == place for number, (_, place) in zip(told, made, strict=True))
    low, high = wilson(hits, len(made))
    return Score(round(hits / len(made), 4), len(made), round(low, 4), round(high, 4), chance, 0, judge)
