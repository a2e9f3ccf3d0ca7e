"""What a label is graded with: examples that it was not written from, and silent ones that look alike.

A sample is for writing or for grading by a hash of (seed, feature, sample), so the two never share one. Silent
windows are paired with active ones of the same length that begin at nearly the same place in their row; marks in
fuzzing stand at the same places for right and wrong ones: where something stands tells nothing.
"""

import hashlib
from collections.abc import Iterable, Sequence, Set
from typing import NamedTuple

from .evidence import ExampleText

GRADED_SHARE = 0.4
"""Share of the samples that are kept for grading."""
PAIRS = 25
"""Active windows in one score, and as many silent ones."""
MARKED = 0.3
"""A token is marked from this share of its window's largest activation on."""
_WIDTH, _MARGIN = 20, 4
"""Tokens of a snippet in fuzzing, and how many at the least stand before the first mark."""


class Snippet(NamedTuple):
    """One question: is the feature active here (detection), or on the marked tokens (fuzzing)?"""

    tokens: Sequence[str]
    start: int | None
    """Position in the sample of the first token."""
    sample: int
    marks: tuple[int, ...]
    """Marked tokens; none in detection."""
    truth: bool
    near: bool = False
    """A silent window in which a feature close by is active."""
    activations: Sequence[float] = ()


def hashed(*parts: object) -> int:
    """A number that depends on nothing but these."""
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=8).digest(), "big")


def graded(seed: int, feature: int, sample: int) -> bool:
    """Whether a sample of a feature is kept for grading."""
    return hashed("graded", seed, feature, sample) < GRADED_SHARE * 2**64


def split(examples: Iterable[ExampleText], seed: int, feature: int) -> tuple[list[ExampleText], list[ExampleText]]:
    """(examples to write from, examples to grade with): no sample stands in both."""
    sides: tuple[list[ExampleText], list[ExampleText]] = [], []
    for example in examples:
        sides[graded(seed, feature, example.sample if example.sample is not None else -1)].append(example)
    return sides


def detection(
    feature: int, examples: Sequence[ExampleText], near: Sequence[ExampleText], known: Set[int], seed: int
) -> list[Snippet]:
    """Active windows, and as many silent ones: half from close features' samples, half from the silent stratum.

    examples: those to grade with; near: examples of close features; known: samples in which this feature is known
    to be active. Shuffled by hash.
    """
    silent = [example for example in examples if example.stratum == "none"]
    close = _distinct([example for example in near if example.sample not in known], seed)
    questions: list[Snippet] = []
    for place, one in enumerate(_active(examples, seed, feature)):
        for others in (close, silent) if place % 2 == 0 else (silent, close):
            other = _alike(one, others)
            if other is not None:
                used = other.sample
                questions += [_snippet(one, True, False), _snippet(other, False, others is close)]
                silent[:] = [each for each in silent if each.sample != used]
                close[:] = [each for each in close if each.sample != used]
                break
    return _shuffled(questions, "detection", seed, feature)


def fuzzing(feature: int, examples: Sequence[ExampleText], seed: int) -> list[Snippet]:
    """Snippets of active windows: the truly active tokens marked, and as many others marked at the same places."""
    questions: list[Snippet] = []
    active = _active(examples, seed, feature)
    for place, one in enumerate(active):
        other = active[(place + 1) % len(active)]
        offset = _MARGIN + hashed("offset", seed, feature, one.sample) % (_WIDTH - 2 * _MARGIN)
        right = _cropped(one, one.peak, offset)
        if right is None or len(active) < 2:
            continue
        marks = tuple(at for at, value in enumerate(right[1]) if value >= MARKED * max(right[1]) and value > 0)
        wrong = _mistaken(other, offset, tuple(mark - offset for mark in marks), seed, feature)
        if wrong is not None:
            questions.append(Snippet(right[0], right[2], one.sample or 0, marks, True, activations=right[1]))
            questions.append(Snippet(wrong[0], wrong[2], other.sample or 0, marks, False, activations=wrong[1]))
    return _shuffled(questions, "fuzzing", seed, feature)


Crop = tuple[Sequence[str], Sequence[float], int | None]


def _cropped(example: ExampleText, at: int, offset: int) -> Crop | None:
    """The snippet in which a token of an example stands at an offset; None where the window ends before."""
    begin = at - offset
    if begin < 0 or begin + _WIDTH > len(example.tokens):
        return None
    end = begin + _WIDTH
    start = None if example.start is None else example.start + begin
    return example.tokens[begin:end], example.activations[begin:end], start


def _mistaken(example: ExampleText, offset: int, steps: tuple[int, ...], seed: int, feature: int) -> Crop | None:
    """A snippet of an active window in which the marks would fall on silent tokens, and an active one is in sight."""
    fitting = []
    for at in range(len(example.tokens)):
        crop = _cropped(example, at, offset)
        if crop is None or not any(crop[1]):
            continue
        if not any(crop[1][offset + step] > 0 for step in steps) and example.tokens[at].strip():
            fitting.append(crop)
    return fitting[hashed("mark", seed, feature, example.sample) % len(fitting)] if fitting else None


def _active(examples: Sequence[ExampleText], seed: int, feature: int) -> list[ExampleText]:
    """Active windows to grade with: the draw from all activations first, then the strongest, each sample once."""
    drawn = [example for example in examples if example.stratum not in ("none", "top")]
    top = [example for example in examples if example.stratum == "top"]
    drawn.sort(key=lambda example: hashed("drawn", seed, feature, example.sample))
    top.sort(key=lambda example: hashed("top", seed, feature, example.sample))
    mixed = [example for pair in zip(drawn, top, strict=False) for example in pair]
    rest = drawn[len(top) :] + top[len(drawn) :]
    seen: set[int | None] = set()
    kept = []
    for example in mixed + rest:
        if example.sample not in seen and example.tokens:
            seen.add(example.sample)
            kept.append(example)
    return kept[:PAIRS]


def _distinct(examples: Iterable[ExampleText], seed: int) -> list[ExampleText]:
    """Each sample once, in the order of a hash."""
    ordered = sorted(examples, key=lambda example: hashed("near", seed, example.sample, example.start))
    return list({example.sample: example for example in reversed(ordered)}.values())


def _alike(one: ExampleText, others: Sequence[ExampleText]) -> ExampleText | None:
    """The window of the same length that begins nearest in its row; of equally near ones the first."""
    fitting = (other for other in others if len(other.tokens) == len(one.tokens))
    return min(fitting, key=lambda other: abs((one.start or 0) - (other.start or 0)), default=None)


def _snippet(example: ExampleText, truth: bool, near: bool) -> Snippet:
    """A window as it is; a near one's activations are another feature's and are left out."""
    activations = [0.0] * len(example.tokens) if not truth else example.activations
    return Snippet(example.tokens, example.start, example.sample or 0, (), truth, near, activations)


def _shuffled(questions: list[Snippet], *key: object) -> list[Snippet]:
    return sorted(questions, key=lambda question: hashed(*key, question.truth, question.sample, question.start))
