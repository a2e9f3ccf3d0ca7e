"""The patterns a feature's peaks may share, each with how much of the evidence it covers.

A pattern is looked for where the peaks are, then looked up everywhere in the windows: `coverage` is the
weighted share of examples whose peak it describes, `precision` the share of its occurrences on which the
feature is active, `chance` how often it is met where there is no peak. What matches everything describes
nothing.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from .classes import FUNCTION_WORDS, classes
from .evidence import EDGE, NEIGHBOURS, Evidence, Peak
from .words import root, shown, spell

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

    @property
    def score(self) -> float:
        beyond_chance = max(0.0, self.coverage - self.chance) / (1 - min(self.chance, 0.99))
        return beyond_chance * (0.55 + 0.45 * self.precision) - self.cost


def find_patterns(evidence: Evidence) -> Iterator[Pattern]:
    """Every pattern of the peaks' words and their neighbourhoods that is worth a look."""
    words = list(_words(evidence))
    yield from words
    yield from _phrases(evidence)
    if any(word.kind == "word" and word.coverage >= 0.98 and word.precision >= 0.8 for word in words):
        return
    yield from _families(evidence)
    yield from _pieces(evidence)
    yield from _classes(evidence)
    yield from _contexts(evidence)
    yield from _places(evidence)
    yield from _repeats(evidence)


# ---- measuring -------------------------------------------------------------------------------------------


def measure(
    evidence: Evidence,
    kind: str,
    text: str,
    cost: float,
    places: Iterable[int],
    covered: Callable[[Peak], bool],
) -> Pattern:
    """A pattern that stands at `places` among the words and describes the peaks for which `covered` holds."""
    hits = [peak for peak in evidence.peaks if covered(peak)]
    found = set(places)
    at_peaks = {peak.at for peak in hits}
    active = sum(evidence.activations[place] >= evidence.threshold for place in found | at_peaks)
    total = len(found | at_peaks)
    elsewhere = max(1, evidence.words - len(evidence.peaks))
    return Pattern(
        kind,
        text,
        coverage=min(1.0, sum(peak.weight for peak in hits)),
        precision=active / total if total else 0.0,
        chance=min(1.0, len(found - {peak.at for peak in evidence.peaks}) / elsewhere),
        cost=cost,
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


def _samples(evidence: Evidence, peaks: Iterable[Peak], most: int = 3) -> str:
    """A few of the words at these peaks, commonest first."""
    counts = Counter(evidence.forms[peak.at] for peak in peaks)
    seen: dict[str, str] = {}
    for form in sorted(counts, key=lambda form: (-counts[form], form)):
        seen.setdefault(form.casefold(), form)
    return ", ".join(form if len(form) <= 20 else form[:19] + "…" for form in list(seen.values())[:most])


# ---- the word at the peak --------------------------------------------------------------------------------


def _words(evidence: Evidence) -> Iterator[Pattern]:
    """One word, or two or three, each in all its forms."""
    keys = evidence.keys
    for key, weight in tally(evidence, words_at(evidence, 0))[:2]:
        if key != EDGE and weight >= WORTH_A_LOOK:
            at = {peak.at for peak in evidence.peaks if keys[peak.at] == key}
            text = shown(form_of(evidence, at))
            yield measure(evidence, "word", text, 0.0, evidence.places[key], lambda peak, at=at: peak.at in at)
    roots = [root(key) for key in words_at(evidence, 0)]
    ranked = [item for item in tally(evidence, roots) if item[0] != EDGE][:3]
    names: list[str] = []
    at, members, covered = set(), set(), 0.0
    for name, weight in ranked:
        hits = {peak.at for peak, own in zip(evidence.peaks, roots, strict=True) if own == name}
        forms = {keys[place] for place in hits}
        names.append(shown(_shared_start(forms) + "…" if len(forms) > 1 else form_of(evidence, hits)))
        at, members, covered = at | hits, members | forms, covered + weight
        if len(names) > 1 and weight >= 0.08 and covered > 0.3:
            text = f"{', '.join(names[:-1])} or {names[-1]}"
            places = [place for key in members for place in evidence.places[key]]
            cost = 0.01 + 0.04 * (len(names) - 1)
            yield measure(evidence, "words", text, cost, places, lambda peak, at=at: peak.at in at)


def _shared_start(words: set[str]) -> str:
    """The letters that all words begin with."""
    first, last = min(words), max(words)
    return first[: next((at for at, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))]


def _phrases(evidence: Evidence) -> Iterator[Pattern]:
    """Two or three words in a row, the peak on any of them."""
    keys = evidence.keys
    for size in (2, 3):
        weights: defaultdict[tuple[str, ...], float] = defaultdict(float)
        for peak in evidence.peaks:
            for first in range(peak.at - size + 1, peak.at + 1):
                phrase = tuple(keys[first : first + size])
                if EDGE not in phrase:
                    weights[phrase] += peak.weight
        ranked = sorted(weights.items(), key=lambda item: (-round(item[1], 9), item[0]))[:3]
        for phrase, weight in ranked:
            if weight < WORTH_A_LOOK or all(word in FUNCTION_WORDS or not word[0].isalnum() for word in phrase):
                continue
            yield _phrase(evidence, phrase)


def _plain(word: str) -> bool:
    """Punctuation, or a word too common to say anything."""
    return word in FUNCTION_WORDS or not word[:1].isalnum()


def _phrase(evidence: Evidence, phrase: tuple[str, ...]) -> Pattern:
    keys, size = evidence.keys, len(phrase)
    starts = _standing(evidence, phrase)
    inside = {first + offset for first in starts for offset in range(size)}
    hits = [peak for peak in evidence.peaks if peak.at in inside]
    offsets = Counter(
        offset for peak in hits for offset in range(size) if peak.at - offset in set(starts) and keys[peak.at]
    )
    offset, count = min(offsets.items(), key=lambda item: (-item[1], item[0]))
    text = shown(spell(form_of(evidence, [first + step for first in starts]) for step in range(size)))
    if count < 0.8 * len(hits):
        strongest = [max(range(first, first + size), key=lambda place: evidence.activations[place]) for first in starts]
        return measure(evidence, "phrase", text, 0.0, strongest, lambda peak: peak.at in inside)
    places = {first + offset for first in starts}
    word = shown(form_of(evidence, places))
    rest = [key for step, key in enumerate(phrase) if step != offset]
    cost = 0.01 * len(rest) if any(map(_plain, rest)) else -0.02
    cost += 0.005 * (size - 1 - offset)  # the model had not read what comes after the peak
    return measure(evidence, "phrase", f"{word} in {text}", cost, places, lambda peak: peak.at in places)


def _families(evidence: Evidence) -> Iterator[Pattern]:
    """Words that begin or end alike."""
    keys = evidence.keys
    for kind, shape, cost in (("stem", "words in {}", 0.03), ("ending", "words ending in {}", 0.08)):
        weights: defaultdict[str, float] = defaultdict(float)
        members: defaultdict[str, set[str]] = defaultdict(set)
        for peak in evidence.peaks:
            key = keys[peak.at]
            if not key.isalpha():
                continue
            for length in range(4 if kind == "stem" else 3, min(len(key), 12) + 1):
                part = key[:length] if kind == "stem" else key[-length:]
                weights[part] += peak.weight
                members[part].add(key)
        wanted = 2 if kind == "stem" else 4
        parts = [part for part in weights if len(members[part]) >= wanted and weights[part] >= 0.3]
        if not parts:
            continue
        part = max(parts, key=lambda part: (round(weights[part], 9), len(part), part))
        hits = [peak for peak in evidence.peaks if keys[peak.at] in members[part]]
        alike = str.startswith if kind == "stem" else str.endswith
        places = [place for key in evidence.places if alike(key, part) for place in evidence.places[key]]
        quoted = f"“{part}…”" if kind == "stem" else f"“…{part}”"
        yield measure(
            evidence,
            kind,
            f"{shape.format(quoted)} ({_samples(evidence, hits)})",
            cost,
            places,
            lambda peak, names=members[part]: keys[peak.at] in names,
        )


def _pieces(evidence: Evidence) -> Iterator[Pattern]:
    """The same piece of different words."""
    token, weight = next(iter(tally(evidence, [peak.token for peak in evidence.peaks])), ("", 0.0))
    hits = [peak for peak in evidence.peaks if peak.token == token]
    words = {evidence.keys[peak.at] for peak in hits} - {token}
    if weight < WORTH_A_LOOK or not token or len(words) < 2:
        return
    shape = "the digit {} in numbers ({})" if token.isdigit() else "words with the piece {} ({})"
    text = shape.format(shown(token), _samples(evidence, hits))
    places = [place for key in words for place in evidence.places[key]]
    yield measure(evidence, "piece", text, 0.06, places, lambda peak: peak.token == token)


def _classes(evidence: Evidence) -> Iterator[Pattern]:
    """A class of words: numbers, months, capitals."""
    weights: defaultdict[str, float] = defaultdict(float)
    for peak in evidence.peaks:
        for name in classes(evidence.forms[peak.at]):
            weights[name] += peak.weight
    for name in sorted(weights):
        hits = [peak for peak in evidence.peaks if name in classes(evidence.forms[peak.at])]
        if weights[name] < 0.4 or len({evidence.keys[peak.at] for peak in hits}) < 2:
            continue
        places = [place for place, form in enumerate(evidence.forms) if form and name in classes(form)]
        text = f"{name} ({_samples(evidence, hits)})"
        at = {peak.at for peak in hits}
        yield measure(evidence, "class", text, 0.06, places, lambda peak, at=at: peak.at in at)


# ---- the neighbourhood of the peak -----------------------------------------------------------------------


def _contexts(evidence: Evidence) -> Iterator[Pattern]:
    """Different words, but the same ones before or after them."""
    before = yield from _context(evidence, "after", -1, 0, 0.08)
    if before:
        for size in range(2, NEIGHBOURS + 1):
            yield from _context(evidence, "after", -size, 0, 0.09 - 0.01 * size)
    after = yield from _context(evidence, "before", 1, 2, 0.09)
    if after:
        yield from _context(evidence, "before", 1, 3, 0.08)


def _context(evidence: Evidence, kind: str, first: int, last: int, cost: float) -> Generator[Pattern, None, bool]:
    """The words from `first` up to `last`, counted from the peak; whether any of them is worth a look."""
    keys = evidence.keys
    around = [tuple(keys[peak.at + first : peak.at + last]) for peak in evidence.peaks]
    ranked = [item for item in tally(evidence, around) if EDGE not in item[0]][:2]
    if not ranked or ranked[0][1] < WORTH_A_LOOK:
        return False
    chosen: list[tuple[str, ...]] = []
    for context, weight in ranked if last - first == 1 else ranked[:1]:
        if chosen and weight < 0.15:
            break
        chosen.append(context)
        starts = {c: _standing(evidence, c) for c in chosen}
        quoted = [
            shown(spell(form_of(evidence, [start + step for start in starts[c]]) for step in range(len(c))))
            for c in chosen
        ]
        places = [start - first for c in chosen for start in starts[c] if keys[start - first] != EDGE]
        at = {peak.at for peak, c in zip(evidence.peaks, around, strict=True) if c in chosen}
        text = f"the word {kind} {' or '.join(quoted)}"
        extra = 0.04 * (len(chosen) - 1)
        found = measure(evidence, kind, text, cost + extra, places, lambda peak, at=at: peak.at in at)
        if found.precision >= (RELIABLE if all(map(_plain, context)) else RELIABLE / 2):
            yield found
    return True


def _standing(evidence: Evidence, phrase: tuple[str, ...]) -> list[int]:
    """Where these words stand in a row."""
    keys, size = evidence.keys, len(phrase)
    return [at for at in evidence.places[phrase[0]] if tuple(keys[at : at + size]) == phrase]


def _places(evidence: Evidence) -> Iterator[Pattern]:
    """The first words of a sentence or of a sample, whatever they are."""
    keys = evidence.keys

    def opens(place: int) -> bool:
        before = keys[place - 1]
        return before != EDGE and (before[-1] in ".!?↵" or before[:1] in ".!?") and keys[place][:1].isalnum()

    hits = [peak for peak in evidence.peaks if opens(peak.at)]
    if sum(peak.weight for peak in hits) >= 0.4:
        places = [place for place in range(NEIGHBOURS, len(keys) - NEIGHBOURS) if opens(place)]
        text = f"the first word of a sentence ({_samples(evidence, hits)})"
        yield measure(evidence, "sentence start", text, 0.06, places, lambda peak: opens(peak.at))
    early = [peak for peak in evidence.peaks if peak.position is not None and peak.position <= 3]
    if sum(peak.weight for peak in early) >= 0.4:
        at = {peak.at for peak in early}
        yield measure(evidence, "sample start", "the first words of a sample", 0.06, at, lambda peak: peak.at in at)


def _repeats(evidence: Evidence) -> Iterator[Pattern]:
    """Any word, the second time it is said."""
    keys = evidence.keys
    again: set[int] = set()
    for begin, end in evidence.windows + evidence.contrast:
        said: set[str] = set()
        for place in range(begin, end):
            if keys[place] in said and not _plain(keys[place]):
                again.add(place)
            said.add(keys[place])
    hits = [peak for peak in evidence.peaks if peak.at in again]
    if sum(peak.weight for peak in hits) >= 0.4 and len({keys[peak.at] for peak in hits}) > 2:
        text = f"a word said again ({_samples(evidence, hits)})"
        yield measure(evidence, "repeat", text, 0.08, again, lambda peak: peak.at in again)
