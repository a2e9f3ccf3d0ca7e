"""Another tool's activations and strongest examples against ours.

Whatever differs must have one of these causes (docs/oracles.md says more); everything else is a problem:

- rounding: a value as the tool writes it down, and float32 products added in another order. The latter is bounded
  relative to the length of the encoder's input, as every activation is a product with it;
- edge: a feature active here and silent there, whose pre-activation lies that close to what decides it (the k-th
  largest of its token, the threshold, zero);
- merged: their strongest tokens or windows of one sample are one example of ours, the strongest;
- not valid: tokens that ours leaves out;
- tie: examples, or positions of one sample, whose activations are equal up to rounding may change places.
"""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from setting import Found, Setting

PRODUCTS = 1e-5
"""How far two products of the same numbers may lie apart, relative to the length of the encoder's input."""


@dataclass(frozen=True)
class Ours:
    """What we say of a setting's features; the first axis of the activations is the feature's place among them."""

    setting: Setting
    activations: np.ndarray
    """float32 [features, samples, positions], of all positions."""
    margins: np.ndarray
    """The same shape: how far the pre-activation lies from what decides whether the feature is active."""
    lengths: np.ndarray
    """[samples, positions]: length of the encoder's input."""
    valid: np.ndarray
    """bool [samples, positions]."""
    strongest: dict[int, list[tuple[int, int, float]]]
    """(sample, peak, activation) of each feature's strongest examples, in order."""
    top_k: int


@dataclass
class Agreement:
    """What was compared, which explained differences there were, and those that nothing explains."""

    counts: Counter[str] = field(default_factory=Counter)
    largest_difference: float = 0.0
    largest_relative_to_input: float = 0.0
    """Largest difference left after the tool's own rounding, relative to the length of the encoder's input."""
    problems: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """For a person."""
        counts = [f"{name}: {count:,}" for name, count in self.counts.items()]
        sizes = [
            f"largest difference: {self.largest_difference:.3g}",
            f"beyond its rounding, relative to the encoder's input: {self.largest_relative_to_input:.2g}",
        ]
        return [*counts, *sizes, *(f"NOT EXPLAINED: {problem}" for problem in self.problems[:20])]


def compare(ours: Ours, found: Found) -> Agreement:
    """Compare all that a tool said."""
    agreement = Agreement()
    theirs = _rows(found, ours.setting.context)
    place = {feature: number for number, feature in enumerate(ours.setting.features)}
    _compare_activations(ours, found, theirs, place, agreement)
    _compare_densities(ours, found, agreement)
    for feature in np.unique(found.row_feature).tolist():
        _compare_examples(ours, found, theirs, feature, place[feature], agreement)
    return agreement


def _rows(found: Found, context: int) -> np.ndarray:
    """float32 [rows, positions]: what the tool shows."""
    dense = np.zeros((len(found.row_feature), context), dtype=np.float32)
    dense[found.value_row, found.value_position] = found.value
    return dense


def _allowed(found: Found, value: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    return found.absolute_rounding + found.relative_rounding * np.abs(value) + PRODUCTS * lengths


def _compare_activations(
    ours: Ours, found: Found, theirs: np.ndarray, place: dict[int, int], agreement: Agreement
) -> None:
    """Every position of every row that the tool shows."""
    feature = np.array([place[each] for each in found.row_feature.tolist()])
    mine = ours.activations[feature, found.row_sample]
    lengths, margins = ours.lengths[found.row_sample], ours.margins[feature, found.row_sample]
    if found.valid_only:
        mine = np.where(ours.valid[found.row_sample], mine, 0.0)
    apart = np.abs(mine - theirs)
    allowed = _allowed(found, theirs, lengths)
    edge = (apart > allowed) & ((mine == 0) != (theirs == 0)) & (margins <= 2 * PRODUCTS * lengths)
    wrong = (apart > allowed) & ~edge
    rounding = allowed - PRODUCTS * lengths
    beyond = np.maximum(apart - rounding, 0.0) / lengths
    agreement.counts.update(
        {
            "positions compared": apart.size,
            "active there": int((theirs > 0).sum()),
            "edge": int(edge.sum()),
        }
    )
    agreement.largest_difference = float(np.where(edge, 0.0, apart).max())
    agreement.largest_relative_to_input = float(np.where(edge, 0.0, beyond).max())
    for row, position in np.argwhere(wrong)[:20].tolist():
        agreement.problems.append(
            f"feature {found.row_feature[row]}, sample {found.row_sample[row]}, position {position}: "
            f"ours {mine[row, position]:.6g}, theirs {theirs[row, position]:.6g}"
        )


def _compare_densities(ours: Ours, found: Found, agreement: Agreement) -> None:
    """The share of active tokens, where a tool gives one: a percentage with three decimals, of all tokens."""
    active = ((ours.activations > 0) & ours.valid).sum((1, 2))
    near = ((ours.margins <= 2 * PRODUCTS * ours.lengths) & ours.valid).sum((1, 2))
    tokens = ours.valid.size
    for number, feature in enumerate(ours.setting.features):
        if np.isnan(found.density[number]):
            continue
        agreement.counts["densities compared"] += 1
        counted = found.density[number] / 100 * tokens
        if abs(counted - active[number]) > near[number] + 5.1e-6 * tokens:
            agreement.problems.append(f"feature {feature}: active on {active[number]} tokens, theirs {counted:.1f}")


@dataclass(frozen=True)
class _Example:
    """The strongest of what a tool shows of one sample."""

    sample: int
    peak: int
    value: float
    allowed: float


def _compare_examples(
    ours: Ours, found: Found, theirs: np.ndarray, feature: int, number: int, agreement: Agreement
) -> None:
    """Their strongest examples against ours: the same samples, values and order, as far as both lists reach."""
    listed = _as_samples(ours, found, theirs, feature, agreement)
    mine = {sample: (peak, value) for sample, peak, value in ours.strongest.get(feature, [])}
    our_reach = min(value for _, value in mine.values()) if len(mine) == ours.top_k else 0.0
    cut = 0 < found.most_examples == int((found.example_feature == feature).sum())
    their_reach = min((each.value for each in listed), default=np.inf) if cut else 0.0
    both = [each for each in listed if each.sample in mine]
    agreement.counts["examples compared"] += len(both)
    for each in both:
        _compare_example(ours, each, *mine[each.sample], feature, number, agreement)
    _compare_order(feature, both, [mine[each.sample][1] for each in both], agreement)
    for each in listed:
        beyond = each.value > our_reach + each.allowed
        if each.sample not in mine and beyond and not _on_edge(ours, number, each.sample, each.peak):
            agreement.problems.append(f"feature {feature}: sample {each.sample} ({each.value:.6g}) is not among ours")
    samples = {each.sample for each in listed}
    for sample, (peak, value) in mine.items():
        beyond = value > their_reach + _allowed_at(ours, found, sample, peak, value)
        if sample not in samples and beyond and not _on_edge(ours, number, sample, peak):
            agreement.problems.append(f"feature {feature}: sample {sample} ({value:.6g}) is not among theirs")


def _as_samples(ours: Ours, found: Found, theirs: np.ndarray, feature: int, agreement: Agreement) -> list[_Example]:
    """Their tokens or windows of a feature as examples of ours: one for each sample, valid tokens only."""
    shown = np.flatnonzero(found.row_feature == feature)
    row = dict(zip(found.row_sample[shown].tolist(), theirs[shown], strict=True))
    best: dict[int, _Example] = {}
    for index in np.flatnonzero(found.example_feature == feature).tolist():
        sample, start = int(found.example_sample[index]), int(found.example_start[index])
        span = slice(start, int(found.example_stop[index]))
        values = np.where(ours.valid[sample, span], row[sample][span], 0.0)
        peak, value = start + int(values.argmax()), float(values.max())
        agreement.counts["not valid"] += value < float(row[sample][span].max())
        if value <= 0:
            continue
        agreement.counts["merged"] += sample in best
        if sample not in best or value > best[sample].value:
            best[sample] = _Example(sample, peak, value, _allowed_at(ours, found, sample, peak, value))
    return sorted(best.values(), key=lambda each: -each.value)


def _compare_example(
    ours: Ours, each: _Example, peak: int, value: float, feature: int, number: int, agreement: Agreement
) -> None:
    """One example that both have: its activation, and its peak unless two positions are equally strong."""
    where = f"feature {feature}, sample {each.sample}"
    if abs(value - each.value) > each.allowed and not _on_edge(ours, number, each.sample, peak):
        agreement.problems.append(f"{where}: {value:.6g} at {peak}, theirs {each.value:.6g} at {each.peak}")
    elif peak != each.peak:
        agreement.counts["tie within a sample"] += 1
        if value - float(ours.activations[number, each.sample, each.peak]) > each.allowed:
            agreement.problems.append(f"{where}: its peak is at {peak}, theirs at {each.peak}")


def _compare_order(feature: int, listed: list[_Example], mine: list[float], agreement: Agreement) -> None:
    """Our activations, in their order, must fall, up to rounding."""
    for each, before, after in zip(listed[1:], mine, mine[1:], strict=False):
        if after > before:
            agreement.counts["tie between samples"] += 1
            if after - before > 2 * each.allowed:
                agreement.problems.append(f"feature {feature}: sample {each.sample} stands elsewhere in their order")


def _allowed_at(ours: Ours, found: Found, sample: int, position: int, value: float) -> float:
    return float(_allowed(found, np.float32(value), ours.lengths[sample, position]))


def _on_edge(ours: Ours, number: int, sample: int, position: int) -> bool:
    return bool(ours.margins[number, sample, position] <= 2 * PRODUCTS * ours.lengths[sample, position])
