"""What a label is made from: a feature's examples, laid out flat so that patterns can be looked up."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from .words import SPACE, piece

EDGE = ""
"""The key between two windows: it matches no pattern."""
NEIGHBOURS = 3
"""Words looked at on either side of a peak."""
_EDGES = [EDGE] * NEIGHBOURS
_ZEROS = [0.0] * NEIGHBOURS
ACTIVE = 0.1
"""A word counts as active from this share of the feature's strongest activation on."""


class ExampleText(NamedTuple):
    """One window of one example, as text."""

    tokens: Sequence[str]
    """Decoded one by one, with their leading spaces."""
    activations: Sequence[float]
    """One per token."""
    peak: int
    """Index into the window of the strongest token."""
    stratum: str = "top"
    """top, q1 … q4, or none for an example without any activation."""
    start: int | None = None
    """Position in the sample of the window's first token, where it is known."""
    sample: int | None = None
    """Row of the tokenized dataset, where it is known."""


@dataclass(frozen=True)
class FeatureText:
    """Everything about one feature that a label may rest on."""

    index: int
    examples: Sequence[ExampleText]
    writes_most: Sequence[str] = ()
    """The tokens the feature raises most at the output, strongest first."""
    density: float = 0.0
    """Share of tokens on which the feature is active."""


@dataclass(frozen=True)
class Peak:
    """Where one example is strongest."""

    at: int
    """Index into the flat words."""
    begin: int
    """Where its window begins among them."""
    token: str
    """The token itself, as a key; a whole word or a piece of one."""
    leads: bool
    """The token opens its word."""
    weight: float
    """Share of the evidence: grows with the square root of the activation; all weights sum to one."""
    position: int | None
    """Position in the sample, where it is known."""
    following: str
    """The key of the next token."""


class Evidence:
    """The windows of a feature as one flat list of words, with an edge between windows."""

    def __init__(self, examples: Sequence[ExampleText]) -> None:
        self.keys: list[str] = _EDGES.copy()
        self.forms: list[str] = _EDGES.copy()
        self.activations: list[float] = _ZEROS.copy()
        self.windows: list[tuple[int, int]] = []
        self.contrast: list[tuple[int, int]] = []
        self.peaks: list[Peak] = []
        self.active_tokens = 0
        self.tokens = 0
        top = [example for example in examples if example.stratum == "top"]
        none = [example for example in examples if example.stratum == "none"]
        top = top or [example for example in examples if example.stratum != "none"]
        top = [example for example in top if example.tokens]
        strongest = max((_strength(example) for example in top), default=0.0) or 1.0
        roots = [math.sqrt(_strength(example) / strongest) for example in top]
        whole = sum(roots)
        for example, root in zip(top, roots, strict=True):
            self._add_top(example, root / whole if whole > 0 else 1 / len(top))
        for example in none:
            self.contrast.append(self._add(example)[:2])
        self.threshold = ACTIVE * strongest
        self.places: dict[str, list[int]] = defaultdict(list)
        for index, key in enumerate(self.keys):
            self.places[key].append(index)
        self.places.pop(EDGE, None)
        self.words = len(self.keys) - NEIGHBOURS * (1 + len(self.windows) + len(self.contrast))

    def active(self, index: int) -> bool:
        return self.activations[index] >= self.threshold

    def _add_top(self, example: ExampleText, weight: float) -> None:
        begin, end, at, leads = self._add(example)
        self.windows.append((begin, end))
        if end == begin:
            return
        peak = min(max(example.peak, 0), len(example.tokens) - 1)
        after = example.tokens[peak + 1] if peak + 1 < len(example.tokens) else ""
        self.peaks.append(
            Peak(
                at=at,
                begin=begin,
                token=piece(example.tokens[peak]).key,
                leads=leads,
                weight=weight,
                position=None if example.start is None else example.start + peak,
                following=piece(after).key,
            )
        )
        self.tokens += len(example.tokens)
        self.active_tokens += len(example.activations) - list(example.activations).count(0.0)

    def _add(self, example: ExampleText) -> tuple[int, int, int, bool]:
        """Lay one window down: where its words begin and end, the peak's word, whether the peak opens it."""
        tokens, activations, after = example.tokens, example.activations, max(example.peak, 0) + 1
        begin = len(self.keys)
        going, leads = self._lay(tokens[:after], activations[:after], False)
        if leads and len(tokens) >= after and piece(tokens[after - 1]).form == SPACE:
            self.keys.append(SPACE)
            self.forms.append(SPACE)
            self.activations.append(activations[after - 1])
        at = max(len(self.keys) - 1, begin)
        self._lay(tokens[after:], activations[after:], going)
        end = len(self.keys)
        self.keys.extend(_EDGES)
        self.forms.extend(_EDGES)
        self.activations.extend(_ZEROS)
        return begin, end, at, leads

    def _lay(self, tokens: Sequence[str], activations: Sequence[float], going: bool) -> tuple[bool, bool]:
        """Join tokens into words: whether the last one may go on, and whether the last token opened it."""
        keys, forms, strengths = self.keys, self.forms, self.activations
        new = True
        for (joins, stays_open, form, key), activation in zip(map(piece, tokens), activations, strict=False):
            new = not (going and joins)
            if new:
                if key:
                    keys.append(key)
                    forms.append(form)
                    strengths.append(activation)
            else:
                keys[-1] += key
                forms[-1] += form
                if activation > strengths[-1]:
                    strengths[-1] = activation
            going = stays_open
        return going, new


def _strength(example: ExampleText) -> float:
    """The activation at the peak; nothing when it is no positive number."""
    values = example.activations
    value = float(values[min(max(example.peak, 0), len(values) - 1)]) if len(values) else 0.0
    return value if 0 < value < math.inf else 0.0
