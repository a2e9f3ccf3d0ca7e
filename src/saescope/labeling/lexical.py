"""The lexical explainer: a short, truthful description of a feature from the text of its examples alone.

Patterns of the peak (peaks.py) and its neighbourhood (neighbours.py) and the topic of the windows
(topics.py) compete by the share of examples they cover beyond chance; where none covers enough, the label
says so.
"""

from collections import Counter
from typing import Any

from ..records import Label
from .evidence import EDGE, Evidence, FeatureText
from .neighbours import neighbour_patterns
from .patterns import Pattern, tally, words_at
from .peaks import peak_patterns, settled
from .topics import find_topic
from .words import piece, shown

LONGEST_LABEL = 80
"""Characters."""
CLEAR = 0.3
"""A description that covers less of the examples is not given as one."""
FEW = 3
"""With fewer examples than this anything covers all of them, so nothing is claimed."""


def describe(feature: FeatureText, background: Counter[str] | None = None, created: str = "") -> Label:
    """Describe a feature; the same examples always give the same label.

    `clarity` is the share of the top examples, weighted by the square root of their activation, that the
    description covers. `background` is what `count_words` gives for the corpus. `detail` holds the tallies.
    """
    evidence = Evidence(feature.examples)
    patterns = list(peak_patterns(evidence))
    if not any(settled(pattern) for pattern in patterns):
        patterns.extend(neighbour_patterns(evidence))
    topic = find_topic(evidence, background, background.total() if background else 0)
    if topic:
        patterns.append(topic)
    best = max(patterns, key=lambda pattern: (round(pattern.score, 9), pattern.text), default=None)
    few = len(evidence.peaks) < FEW
    if few or best is None or best.coverage < CLEAR or best.score < CLEAR / 2:
        text, rule = _unclear(evidence, "rare" if few else "unclear")
        best = None
    else:
        text, rule = _cut(best.text), best.rule
        promotes = _promotes(feature, evidence)
        if promotes and len(text) + len(promotes) <= LONGEST_LABEL:
            text += promotes
    return Label(
        feature=feature.index,
        text=text,
        source="lexical",
        model=None,
        created=created,
        clarity=round(best.coverage, 4) if best else 0.0 if few else _best_coverage(patterns),
        detail=_detail(evidence, patterns, best) | {"rule": rule},
        samples=tuple(example.sample for example in feature.examples if example.sample is not None),
    )


def _best_coverage(patterns: list[Pattern]) -> float:
    """How well the best of descriptions that are not good enough would have done; below the mark always."""
    return round(min(max((pattern.score for pattern in patterns), default=0.0), CLEAR - 0.01), 4)


def _unclear(evidence: Evidence, why: str) -> tuple[str, dict[str, Any] | None]:
    """The honest label of a feature without a pattern, or with too few examples to claim one; and its rule."""
    if not evidence.peaks:
        return "no examples", None
    ranked = tally(evidence, words_at(evidence, 0), shared=False)
    forms = {evidence.keys[peak.at]: evidence.forms[peak.at] for peak in reversed(evidence.peaks)}
    keys = [key for key, _ in ranked if key != EDGE][:3]
    if not keys:
        return why, None
    return _cut(f"{why}: peaks on {', '.join(shown(forms[key]) for key in keys)}"), {"is": "word", "words": keys}


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_LABEL else text[: LONGEST_LABEL - 1].rstrip() + "…"


def _promotes(feature: FeatureText, evidence: Evidence) -> str:
    """What the feature writes, if it means something: the words agree with each other or with what follows.

    Before the last layers the logit lens is mostly noise, so a single odd token is never reported.
    """
    words = [piece(token) for token in feature.writes_most[:10]]
    words = [word for word in words if len(word.key) >= 2 and word.key.isalpha()]
    if not words:
        return ""
    follows = dict(tally(evidence, [peak.following for peak in evidence.peaks]))
    for word in words[:3]:
        if follows.get(word.key, 0.0) >= 0.4:
            return f"; promotes {shown(word.form)}"
    keys = Counter(word.key[:5] for word in words if len(word.key) >= 4)
    stem, count = max(keys.items(), key=lambda item: (item[1], item[0]), default=("", 0))
    if count < 4:
        return ""
    form = next(word.form for word in words if word.key.startswith(stem))
    return f"; promotes {shown(form)}"


def _detail(evidence: Evidence, patterns: list[Pattern], best: Pattern | None) -> dict[str, Any]:
    """The tallies behind the label."""

    def shares(step: int) -> list[list[Any]]:
        ranked = tally(evidence, words_at(evidence, step), shared=False)
        return [[key, round(weight, 3)] for key, weight in ranked[:5] if key != EDGE]

    others = sorted((p for p in patterns if p is not best), key=lambda p: (-round(p.score, 9), p.text))
    return {
        "pattern": best.kind if best else "unclear",
        "precision": round(best.precision, 3) if best and best.kind != "topic" else None,
        "chance": round(best.chance, 3) if best else None,
        "score": round(best.score, 3) if best else 0.0,
        "examples": len(evidence.windows),
        "active_share": round(evidence.active_tokens / evidence.tokens, 3) if evidence.tokens else 0.0,
        "peaks": shares(0),
        "before": shares(-1),
        "after": shares(1),
        "others": [[other.text, round(other.coverage, 3)] for other in others[:3]],
    }
