"""What labels are written from and graded with, read from an extraction's tables. Loads no torch."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..labeling import ExampleText, FeatureText, count_words, grading
from ..labeling.measures import measure
from ..store.features import STRATA, FeatureStore

NEAR_EACH = 4
"""Strongest examples of each close feature among which silent ones are looked for."""
_TOP = 40
"""Strongest examples that a label rests on."""


@dataclass(frozen=True)
class Material:
    """One live feature: what to write from, and what to grade with."""

    text: FeatureText
    held: list[ExampleText]
    """Examples for grading; their samples are none of those written from."""
    near: list[ExampleText]
    """Examples of close features, for grading."""
    contrast: list[ExampleText]
    """Others of them in which this feature is not known to be active, for writing."""
    known: frozenset[int]
    """Samples in which the feature is known to be active."""

    def detection(self, seed: int) -> list[grading.Snippet]:
        return grading.detection(self.text.index, self.held, self.near, self.known, seed)

    def fuzzing(self, seed: int) -> list[grading.Snippet]:
        return grading.fuzzing(self.text.index, self.held, seed)

    def snippets(self, score: str, seed: int) -> list[grading.Snippet]:
        """What a label is graded with for a score: detection or fuzzing."""
        return self.detection(seed) if score == "detection" else self.fuzzing(seed)


def materials(
    store: FeatureStore, chosen: Sequence[int], strings: list[str], seed: int, *, near: bool = True
) -> Iterator[Material]:
    """Every live feature of those chosen (ascending)."""
    facts = store.to_arrow(["density", "writes_most_ids", "neighbor_ids"])
    densities, written = facts.column("density").to_pylist(), facts.column("writes_most_ids")
    neighbors = facts.column("neighbor_ids")
    close = _Close(store, sorted({id for feature in chosen for id in neighbors[feature].as_py()}) if near else [])
    for feature, rows in store.each(chosen):
        examples = [_example(row, strings) for row in rows]
        if all(example.stratum == "none" for example in examples):
            continue
        writing, held = grading.split(examples, seed, feature)
        written_from = [example for example in writing if example.stratum != "top"]
        top = [example for example in writing if example.stratum == "top"][:_TOP]
        if not top:  # a rare feature, all of whose samples were drawn for grading: its label comes first
            top, held = [example for example in held if example.stratum == "top"], []
        writes = [strings[id] for id in written[feature].as_py()]
        known = frozenset(row["sample"] for row in rows if row["stratum"] != "none")
        beside = [_example(row, strings) for row in close.rows(neighbors[feature].as_py())] if held else []
        contrast, graded = grading.split([each for each in beside if each.sample not in known], seed, feature)
        text = FeatureText(feature, [*top, *written_from], writes, densities[feature])
        yield Material(text, held, graded, contrast, known)


class _Close:
    """The strongest examples of features that are close to others."""

    def __init__(self, store: FeatureStore, features: list[int]) -> None:
        self._table = store.strongest(features, NEAR_EACH)
        self._feature = self._table.column("feature").to_numpy()

    def rows(self, features: Sequence[int]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for feature in features:
            start, end = np.searchsorted(self._feature, [feature, feature + 1])
            found += self._table.slice(start, end - start).to_pylist()
        return found


def _example(row: dict[str, Any], strings: list[str]) -> ExampleText:
    tokens = [strings[id] for id in row["token_ids"]]
    return ExampleText(
        tokens=tokens,
        activations=row.get("activations") or [0.0] * len(tokens),
        peak=row["peak"] - row["start"],
        stratum=row.get("stratum", "near"),
        start=row["start"],
        sample=row["sample"],
    )


def words_of(tokens: np.ndarray, lengths: np.ndarray, strings: list[str], samples: int) -> Counter[str]:
    """How often words stand in rows of tokens, from some rows spread over all."""
    chosen = np.linspace(0, len(lengths) - 1, min(len(lengths), samples)).astype(int)
    return count_words([strings[id] for id in tokens[sample, 1 : lengths[sample]]] for sample in chosen)


def measure_features(store: FeatureStore) -> None:
    """Work the measures out for every feature and keep them beside the tables."""
    gathered: list[tuple[np.ndarray, ...]] = []
    for table in store.each_part(["feature", "stratum", "sample", "peak", "start", "token_ids"]):
        stratum = table.column("stratum").to_numpy(zero_copy_only=False)
        code = np.select([stratum == name for name in STRATA], range(len(STRATA)), len(STRATA) - 1)
        lists = table.column("token_ids").combine_chunks()
        offsets, tokens = lists.offsets.to_numpy(), lists.values.to_numpy()
        at = offsets[:-1] + table.column("peak").to_numpy() - table.column("start").to_numpy()
        around = np.full((len(table), 4), -1, np.int64)
        for column, step in enumerate((-2, -1, 1, 2)):
            there = (at + step >= offsets[:-1]) & (at + step < offsets[1:])
            around[there, column] = tokens[(at + step)[there]]
        peak = tokens[np.minimum(at, max(len(tokens) - 1, 0))] if len(tokens) else np.zeros(len(table), np.int64)
        sample = table.column("sample").to_numpy()
        gathered.append((table.column("feature").to_numpy(), code, sample, peak, around))
    columns = [np.concatenate(each) for each in zip(*gathered, strict=True)]
    store.write_measures(measure(store.total, *columns))
