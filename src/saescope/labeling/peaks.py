"""Patterns of the word at the peak: the word itself, its phrase, its family, a piece of it, its class."""

from collections import Counter, defaultdict
from collections.abc import Iterator

from .classes import classes
from .evidence import EDGE, Evidence
from .patterns import (
    RELIABLE,
    WORTH_A_LOOK,
    Pattern,
    form_of,
    measure,
    plain,
    samples,
    standing,
    tally,
    words_at,
)
from .words import root, shown, spell


def peak_patterns(evidence: Evidence) -> Iterator[Pattern]:
    """Those worth a look; after a word that says it all nothing vaguer is tried."""
    words = list(_words(evidence))
    yield from words
    yield from _phrases(evidence)
    if not any(settled(word) for word in words):
        yield from _families(evidence)
        yield from _pieces(evidence)
        yield from _classes(evidence)


def settled(pattern: Pattern) -> bool:
    """One word describes the feature, and hardly stands anywhere without it."""
    return pattern.kind == "word" and pattern.coverage >= 0.98 and pattern.precision >= 0.8


def _words(evidence: Evidence) -> Iterator[Pattern]:
    """One word, or two or three, each in all its forms."""
    keys = evidence.keys
    for key, weight in tally(evidence, words_at(evidence, 0))[:2]:
        if key != EDGE and weight >= WORTH_A_LOOK:
            at = {peak.at for peak in evidence.peaks if keys[peak.at] == key}
            text = shown(form_of(evidence, at))
            yield measure(evidence, "word", text, 0.0, evidence.places[key], at, {"is": "word", "words": [key]})
    roots = [root(key) for key in words_at(evidence, 0)]
    ranked = [item for item in tally(evidence, roots) if item[0] != EDGE][:3]
    names: list[str] = []
    at, members, covered = set[int](), set[str](), 0.0
    for name, weight in ranked:
        hits = {peak.at for peak, own in zip(evidence.peaks, roots, strict=True) if own == name}
        forms = {keys[place] for place in hits}
        names.append(shown(_shared_start(forms) + "…" if len(forms) > 1 else form_of(evidence, hits)))
        at, members, covered = at | hits, members | forms, covered + weight
        if len(names) > 1 and weight >= 0.08 and covered > 0.3:
            text = f"{', '.join(names[:-1])} or {names[-1]}"
            places = [place for key in members for place in evidence.places[key]]
            rule = {"is": "root", "words": [other for other, _ in ranked[: len(names)]]}
            yield measure(evidence, "words", text, 0.01 + 0.04 * (len(names) - 1), places, at, rule)


def _shared_start(words: set[str]) -> str:
    """The letters that all words begin with."""
    first, last = min(words), max(words)
    return first[: next((at for at, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))]


def _phrases(evidence: Evidence) -> Iterator[Pattern]:
    """Two or three words in a row, the peak on any of them."""
    keys = evidence.keys
    for size in (2, 3):
        weights: defaultdict[tuple[str, ...], float] = defaultdict(float)
        counts: Counter[tuple[str, ...]] = Counter()
        for peak in evidence.peaks:
            for first in range(peak.at - size + 1, peak.at + 1):
                phrase = tuple(keys[first : first + size])
                if EDGE not in phrase:
                    weights[phrase] += peak.weight
                    counts[phrase] += 1
        for phrase, weight in sorted(weights.items(), key=lambda item: (-round(item[1], 9), item[0]))[:3]:
            if weight < WORTH_A_LOOK or counts[phrase] < 2:
                continue
            if phrase[0][:1].isalnum():
                found = _phrase(evidence, phrase)
                if found.precision >= RELIABLE or not all(map(plain, phrase)):
                    yield found


def _phrase(evidence: Evidence, phrase: tuple[str, ...]) -> Pattern:
    """The word of the phrase that holds the peak, or the whole phrase where that differs."""
    size, starts = len(phrase), standing(evidence, phrase)
    inside = {first + offset for first in starts for offset in range(size)}
    hits = [peak.at for peak in evidence.peaks if peak.at in inside]
    firsts = set(starts)
    offsets = Counter(offset for at in hits for offset in range(size) if at - offset in firsts)
    offset, count = min(offsets.items(), key=lambda item: (-item[1], item[0]))
    text = shown(spell(form_of(evidence, [first + step for first in starts]) for step in range(size)))
    if count < 0.8 * len(hits):
        strongest = [max(range(first, first + size), key=lambda place: evidence.activations[place]) for first in starts]
        return measure(
            evidence, "phrase", text, 0.0, strongest, inside, {"is": "phrase", "words": [*phrase], "at": None}
        )
    places = {first + offset for first in starts}
    rest = [key for step, key in enumerate(phrase) if step != offset]
    cost = 0.01 * len(rest) if any(map(plain, rest)) else -0.02
    cost += 0.005 * (size - 1 - offset)  # the model had not read what comes after the peak
    text, rule = f"{shown(form_of(evidence, places))} in {text}", {"is": "phrase", "words": [*phrase], "at": offset}
    return measure(evidence, "phrase", text, cost, places, places, rule)


def _families(evidence: Evidence) -> Iterator[Pattern]:
    """Words that begin or end alike."""
    keys = evidence.keys
    words: defaultdict[str, float] = defaultdict(float)
    for peak in evidence.peaks:
        words[keys[peak.at]] += peak.weight
    for kind, shortest, wanted, cost in (("stem", 4, 2, 0.03), ("ending", 2, 4, 0.08)):
        weights: defaultdict[str, float] = defaultdict(float)
        members: defaultdict[str, set[str]] = defaultdict(set)
        for key, weight in words.items():
            for length in range(shortest, min(len(key), 10) + 1 if key.isalpha() else 0):
                part = key[:length] if kind == "stem" else key[-length:]
                weights[part] += weight
                members[part].add(key)
        parts = [part for part in weights if len(members[part]) >= wanted and weights[part] >= 0.3]
        if not parts:
            continue
        part = max(parts, key=lambda part: (round(weights[part], 9), len(part), part))
        hits = [peak for peak in evidence.peaks if keys[peak.at] in members[part]]
        alike = str.startswith if kind == "stem" else str.endswith
        places = [place for key in evidence.places if alike(key, part) for place in evidence.places[key]]
        quoted = f"words in “{part}…”" if kind == "stem" else f"words ending in “…{part}”"
        text = f"{quoted} ({samples(evidence, hits)})"
        yield measure(evidence, kind, text, cost, places, {peak.at for peak in hits}, {"is": kind, "part": part})


def _pieces(evidence: Evidence) -> Iterator[Pattern]:
    """The same piece of different words."""
    token, weight = next(iter(tally(evidence, [peak.token for peak in evidence.peaks])), ("", 0.0))
    hits = [peak for peak in evidence.peaks if peak.token == token]
    words = {evidence.keys[peak.at] for peak in hits} - {token}
    if weight < WORTH_A_LOOK or not token or len(words) < 2:
        return
    shape = "the digit {} in numbers ({})" if token.isdigit() else "words with the piece {} ({})"
    text = shape.format(shown(token), samples(evidence, hits))
    places = [place for key in words for place in evidence.places[key]]
    yield measure(evidence, "piece", text, 0.06, places, {peak.at for peak in hits}, {"is": "piece", "part": token})


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
        text = f"{name} ({samples(evidence, hits)})"
        yield measure(evidence, "class", text, 0.06, places, {peak.at for peak in hits}, {"is": "class", "name": name})
