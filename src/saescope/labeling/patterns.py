"""A pattern that a feature's peaks share, and how much of the evidence it covers.

A pattern is looked for where the peaks are, then looked up everywhere in the windows: `coverage` is the
weighted share of examples whose peak it describes, `precision` the share of its occurrences on which the
feature is active, `chance` how often it is met where there is no peak. What matches everything describes
nothing.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Set
from dataclasses import dataclass, field
from typing import Any, TypeVar

from .classes import FUNCTION_WORDS
from .evidence import Evidence, Peak

WORTH_A_LOOK = 0.2
"""Patterns that cover less than this are not looked up."""
NOTABLE = 0.04
"""Share of the examples from which on a word is counted at all."""

RELIABLE = 0.5
"""Precision that a neighbourhood of common words must have: something stands after every “the”."""

T = TypeVar("T", bound=Hashable)


@dataclass(frozen=True)
class Pattern:
    """One way to describe a feature, measured."""

    kind: str
    text: str
    coverage: float
    precision: float
    chance: float
    cost: float
    """What a vaguer or longer description must make up for by covering more."""
    rule: dict[str, Any] = field(default_factory=dict)
    """The same thing in a form that a program can check (rules.py)."""

    @property
    def score(self) -> float:
        beyond_chance = max(0.0, self.coverage - self.chance) / (1 - min(self.chance, 0.99))
        return beyond_chance * (0.55 + 0.45 * self.precision) - self.cost


def measure(
    evidence: Evidence,
    kind: str,
    text: str,
    cost: float,
    places: Iterable[int],
    covered: Set[int],
    rule: dict[str, Any],
) -> Pattern:
    """A pattern that stands at `places` among the words and describes the peaks at `covered`."""
    peaks = {peak.at for peak in evidence.peaks}
    found = set(places)
    met = found | (peaks & covered)
    active = sum(evidence.activations[place] >= evidence.threshold for place in met)
    return Pattern(
        kind,
        text,
        coverage=min(1.0, sum(peak.weight for peak in evidence.peaks if peak.at in covered)),
        precision=active / len(met) if met else 0.0,
        chance=min(1.0, len(found - peaks) / max(1, evidence.words - len(peaks))),
        cost=cost,
        rule=rule,
    )


def tally(evidence: Evidence, values: Iterable[T], *, shared: bool = True) -> list[tuple[T, float]]:
    """The weight of every notable value, heaviest first; ties in order of the value.

    `values` holds one per peak. What a single example has is not `shared`, unless it is the only example.
    """
    weights: dict[T, float] = {}
    values = list(values)
    for value, peak in zip(values, evidence.peaks, strict=True):
        weights[value] = weights.get(value, 0.0) + peak.weight
    counts = Counter(values) if shared and len(values) > 1 else {}
    ranked = [
        (value, weight)
        for value, weight in weights.items()
        if not shared or (weight >= NOTABLE and counts.get(value, 2) > 1)
    ]
    ranked.sort(key=lambda item: (-round(item[1], 9), str(item[0])))
    return ranked


def words_at(evidence: Evidence, step: int) -> list[str]:
    """The words so many places from each peak."""
    return [evidence.keys[peak.at + step] for peak in evidence.peaks]


def form_of(evidence: Evidence, places: Iterable[int]) -> str:
    """The commonest way of writing what stands at these places."""
    counts = Counter(evidence.forms[place] for place in places)
    return min(counts, key=lambda form: (-counts[form], form)) if counts else ""


def samples(evidence: Evidence, peaks: Iterable[Peak], most: int = 3) -> str:
    """A few of the words at these peaks, commonest first."""
    counts = Counter(evidence.forms[peak.at] for peak in peaks)
    seen: dict[str, str] = {}
    for form in sorted(counts, key=lambda form: (-counts[form], form)):
        seen.setdefault(form.casefold(), form)
    return ", ".join(form if len(form) <= 20 else form[:19] + "…" for form in list(seen.values())[:most])


def plain(word: str) -> bool:
    """Punctuation, or a word too common to say anything."""
    return word in FUNCTION_WORDS or not word[:1].isalnum()


def standing(evidence: Evidence, phrase: tuple[str, ...]) -> list[int]:
    """Where these words stand in a row."""
    keys, size = evidence.keys, len(phrase)
    return [at for at in evidence.places[phrase[0]] if tuple(keys[at : at + size]) == phrase]
