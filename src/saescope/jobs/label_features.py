"""`label`: describe features from their examples, in words."""

import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..errors import NotFound
from ..labeling import ExampleText, FeatureText, count_words, describe, parse_features
from ..records import Extraction, Label, Progress
from ..specs import LabelFeatures
from ..store import catalogue
from ..store.features import FeatureStore
from ..store.labels import add_labels
from ..store.tokenized import token_stores
from .clock import now
from .context import Context

_SHOWN = 12
_TOP = 40
"""Strongest examples that a label rests on."""
_BACKGROUND_SAMPLES = 2000


def run(spec: LabelFeatures, context: Context) -> dict[str, Any]:
    """Label the live features asked for; earlier labels are kept, the newest is shown."""
    began = time.perf_counter()
    extraction, store = context.extraction(spec.extraction)
    chosen = parse_features(spec.features, extraction.features)
    strings = context.vocabulary(catalogue.model(context.db, extraction.model))
    context.tell(Progress("labelling", 0, len(chosen), "features"))
    background = _background(extraction, strings, context)
    created = now()
    labels: list[Label] = []
    for text in _feature_texts(store, chosen, strings):
        labels.append(describe(text, background, created))
        if len(labels) % 64 == 0:
            context.tell(Progress("labelling", len(labels), len(chosen), "features"))
    context.tell(Progress("labelling", len(chosen), len(chosen), "features"))
    if not labels:
        raise NotFound(
            f"none of the {len(chosen)} features asked for is alive in extraction {extraction.name!r}",
            "a dead feature has no examples to describe; see `saescope features list` for the others",
        )
    add_labels(context.db, extraction.id, labels)
    facts = store.to_arrow(["density", "max"]).to_pydict()
    clearest = sorted(labels, key=lambda label: (-(label.clarity or 0.0), label.feature))[:_SHOWN]
    return {
        "extraction": extraction.name,
        "labelled": len(labels),
        "dead": len(chosen) - len(labels),
        "seconds": time.perf_counter() - began,
        "median_clarity": float(np.median([label.clarity or 0.0 for label in labels])),
        "examples_of_labels": [
            {
                "index": label.feature,
                "label": label.text,
                "density": facts["density"][label.feature],
                "max": facts["max"][label.feature],
                "clarity": label.clarity,
            }
            for label in clearest
        ],
    }


def _feature_texts(store: FeatureStore, chosen: list[int], strings: list[str]) -> Iterator[FeatureText]:
    """The live features asked for, as text."""
    facts = store.to_arrow(["density", "writes_most_ids"])
    densities, written = facts.column("density").to_pylist(), facts.column("writes_most_ids")
    for feature, rows in store.each(chosen):
        examples = [
            ExampleText(
                tokens=[strings[id] for id in row["token_ids"]],
                activations=row["activations"],
                peak=row["peak"] - row["start"],
                stratum=row["stratum"],
                start=row["start"],
            )
            for row in rows
            if row["stratum"] == "none" or (row["stratum"] == "top" and row["rank"] < _TOP)
        ]
        if any(example.stratum == "top" for example in examples):
            writes = [strings[id] for id in written[feature].as_py()]
            yield FeatureText(feature, examples, writes, densities[feature])


def _background(extraction: Extraction, strings: list[str], context: Context) -> Counter[str] | None:
    """How often words stand in the text that was extracted; None when its tokens are gone."""
    dataset = catalogue.dataset(context.db, extraction.dataset)
    for about, rows in token_stores(context.home, dataset):
        made = (extraction.context, extraction.provenance["tokenizer"], extraction.spec.get("packing", "packed"))
        if (about["context"], about["tokenizer"], about.get("packing", "packed")) == made:
            samples = np.linspace(0, rows.samples - 1, min(rows.samples, _BACKGROUND_SAMPLES)).astype(int)
            return count_words(
                [strings[id] for id in rows.tokens[sample, 1 : rows.lengths[sample]]] for sample in samples
            )
    return None
