"""What the examples are about, when their peaks share nothing: words that are rarer in the corpus."""

from collections import Counter

from .classes import FUNCTION_WORDS
from .evidence import EDGE, Evidence
from .patterns import Pattern
from .words import shown

LIFT = 4.0
"""A topic's word is met in this many times more windows than chance has it."""
USUAL = 0.02
"""Share of windows assumed to hold a word, where there is nothing to compare with."""


def find_topic(evidence: Evidence, background: Counter[str] | None, total: int) -> Pattern | None:
    """Up to three words, one of which stands in most windows; None where no word is over-represented.

    `background` holds how often each word stands in the corpus, `total` their sum; without it the non-active
    examples are the background. Coverage and chance are shares of windows.
    """
    windows = [frozenset(evidence.keys[begin:end]) for begin, end in evidence.windows]
    counts: Counter[str] = Counter()
    for window in windows:
        counts.update(window)
    if not windows:
        return None
    width = sum(end - begin for begin, end in evidence.windows) / len(windows)
    contrast = [frozenset(evidence.keys[begin:end]) for begin, end in evidence.contrast]

    def usual(word: str) -> float:
        """Share of windows that hold the word by chance."""
        if background and total:
            return 1 - (1 - (background[word] + 0.5) / (total + 1)) ** width
        met = sum(word in window for window in contrast)
        return (met + USUAL * 5) / (len(contrast) + 5)

    lifted: list[tuple[float, str]] = []
    for word, count in counts.items():
        share = count / len(windows)
        if share < 0.15 or count < 2 or len(word) < 4 or word in FUNCTION_WORDS or not word.isalpha():
            continue
        lift = share / usual(word)
        if lift >= LIFT:
            lifted.append((share * (1 - 1 / lift), word))
    lifted.sort(key=lambda item: (-round(item[0], 9), item[1]))
    chosen: list[str] = []
    covered: set[int] = set()
    for _ in range(3):
        gains = [
            (sum(word in window for at, window in enumerate(windows) if at not in covered) * gain, gain, word)
            for gain, word in lifted[:12]
            if word not in chosen
        ]
        if not gains:
            break
        new, _, word = max(gains, key=lambda item: (round(item[0], 9), round(item[1], 9), item[2]))
        if new == 0:
            break
        chosen.append(word)
        covered |= {at for at, window in enumerate(windows) if word in window}
    if not chosen:
        return None
    missed = 1.0
    for word in chosen:
        missed *= 1 - usual(word)
    return Pattern(
        "topic",
        "about: " + ", ".join(shown(_usual_form(evidence, word))[1:-1] for word in chosen),
        coverage=len(covered) / len(windows),
        precision=0.0,
        chance=1 - missed,
        cost=0.0,
        rule={"is": "topic", "words": chosen},
    )


def _usual_form(evidence: Evidence, word: str) -> str:
    """How a word is mostly written in the windows."""
    counts = Counter(evidence.forms[place] for place in evidence.places[word] if evidence.keys[place] != EDGE)
    return min(counts, key=lambda form: (-counts[form], form))
