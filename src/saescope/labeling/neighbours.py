"""Patterns of the peak's neighbourhood, when the peaks themselves differ: what is around them, where they are."""

from collections.abc import Generator, Iterator

from .evidence import EDGE, NEIGHBOURS, Evidence
from .patterns import RELIABLE, WORTH_A_LOOK, Pattern, form_of, measure, plain, samples, standing, tally
from .words import shown, spell


def neighbour_patterns(evidence: Evidence) -> Iterator[Pattern]:
    """Those worth a look."""
    yield from _contexts(evidence)
    yield from _places(evidence)
    yield from _repeats(evidence)


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
    quoted: list[str] = []
    chosen: list[tuple[str, ...]] = []
    places: list[int] = []
    for context, weight in ranked if last - first == 1 else ranked[:1]:
        if chosen and weight < 0.15:
            break
        chosen.append(context)
        starts = standing(evidence, context)
        forms = [form_of(evidence, [start + step for start in starts]) for step in range(len(context))]
        quoted.append(shown(spell(forms)))
        places += [start - first for start in starts if keys[start - first] != EDGE]
        at = {peak.at for peak, own in zip(evidence.peaks, around, strict=True) if own in chosen}
        text = f"the word {kind} {' or '.join(quoted)}"
        rule = {"is": "context", "from": first, "to": last, "words": [[*words] for words in chosen]}
        found = measure(evidence, kind, text, cost + 0.04 * (len(chosen) - 1), places, at, rule)
        if found.precision >= (RELIABLE if all(map(plain, context)) else RELIABLE / 2):
            yield found
    return True


def _places(evidence: Evidence) -> Iterator[Pattern]:
    """The first words of a sentence or of a sample, whatever they are."""
    keys = evidence.keys

    def opens(place: int) -> bool:
        before = keys[place - 1]
        return before != EDGE and (before[-1] in ".!?↵" or before[:1] in ".!?") and keys[place][:1].isalnum()

    hits = [peak for peak in evidence.peaks if opens(peak.at)]
    if sum(peak.weight for peak in hits) >= 0.4:
        places = [place for place in range(NEIGHBOURS, len(keys) - NEIGHBOURS) if opens(place)]
        text = f"the first word of a sentence ({samples(evidence, hits)})"
        yield measure(
            evidence, "sentence start", text, 0.06, places, {peak.at for peak in hits}, {"is": "sentence start"}
        )
    early = {peak.at for peak in evidence.peaks if peak.position is not None and peak.position <= 3}
    if sum(peak.weight for peak in evidence.peaks if peak.at in early) >= 0.4:
        rule = {"is": "sample start", "last": 3}
        yield measure(evidence, "sample start", "the first words of a sample", 0.06, early, early, rule)


def _repeats(evidence: Evidence) -> Iterator[Pattern]:
    """Any word, the second time it is said."""
    keys = evidence.keys
    hits = [
        peak
        for peak in evidence.peaks
        if not plain(keys[peak.at]) and any(peak.begin <= at < peak.at for at in evidence.places[keys[peak.at]])
    ]
    if sum(peak.weight for peak in hits) < 0.4 or len({keys[peak.at] for peak in hits}) < 3:
        return
    again: set[int] = set()
    for begin, end in evidence.windows + evidence.contrast:
        said: set[str] = set()
        for place in range(begin, end):
            if keys[place] in said and not plain(keys[place]):
                again.add(place)
            said.add(keys[place])
    text = f"a word said again ({samples(evidence, hits)})"
    yield measure(evidence, "repeat", text, 0.08, again, {peak.at for peak in hits}, {"is": "repeat"})
