"""`label`: describe features from their examples in words, and measure how well each description holds."""

import time
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import BadValue, NotFound
from ..fingerprint import content_hash
from ..labeling import describe, parse_features
from ..labeling.scoring import score_rule
from ..records import Extraction, Label, Progress
from ..specs import LabelFeatures
from ..store import catalogue
from ..store.labels import add_labels, current_labels, labelled_by
from ..version import VERSION
from .clock import now
from .context import Context
from .label_evidence import Material, materials, measure_features, words_of
from .tokenized import token_stores

_SHOWN = 12
_BATCH = 256
"""Labels written at once: the most that a stop loses."""
_BACKGROUND_SAMPLES = 2000
RULE_SCORES = ("detection", "fuzzing")


def run(spec: LabelFeatures, context: Context) -> dict[str, Any]:
    """Label the live features asked for; earlier labels are kept, and a run that was stopped goes on."""
    began = time.perf_counter()
    extraction, store = context.extraction(spec.extraction)
    chosen = parse_features(spec.features, extraction.features)
    scores = _scores(spec.score)
    request = content_hash("label", VERSION, spec.explainer, spec.seed, *scores)
    done = set() if spec.again else labelled_by(context.db, extraction.id, request).intersection(chosen)
    strings = context.vocabulary(catalogue.model(context.db, extraction.model))
    context.tell(Progress("labelling", len(done), len(chosen), "features"))
    if not store.measured:
        measure_features(store)
    background = _background(extraction, strings, context)
    written: list[Label] = []
    todo = [feature for feature in chosen if feature not in done]
    count = 0
    for material in materials(store, todo, strings, spec.seed, near="detection" in scores):
        label = _lexical(material, background, scores, spec.seed)
        written.append(replace(label, created=now(), request=request))
        count += 1
        if len(written) == _BATCH:
            add_labels(context.db, extraction.id, written)
            written.clear()
            context.check_stop()
        if count % 64 == 0:
            context.tell(Progress("labelling", len(done) + count, len(chosen), "features"))
    add_labels(context.db, extraction.id, written)
    context.tell(Progress("labelling", len(chosen), len(chosen), "features"))
    if not count and not done:
        raise NotFound(
            f"none of the {len(chosen)} features asked for is alive in extraction {extraction.name!r}",
            "a dead feature has no examples to describe; see `saescope features list` for the others",
        )
    labels = list(current_labels(context.db, extraction.id, chosen).values())
    facts = store.to_arrow(["density", "max"]).to_pydict()
    best = sorted(labels, key=lambda label: (-(label.clarity or 0.0), label.feature))[:_SHOWN]
    return {
        "extraction": extraction.name,
        "labelled": count + len(done),
        "kept": len(done),
        "dead": len(chosen) - count - len(done),
        "seconds": time.perf_counter() - began,
        "median_clarity": float(np.median([label.clarity or 0.0 for label in labels])),
        "scores": {name: _spread(labels, name) for name in scores},
        "examples_of_labels": [
            {
                "index": label.feature,
                "label": label.text,
                "density": facts["density"][label.feature],
                "max": facts["max"][label.feature],
                "clarity": label.clarity,
                "scores": {name: score.to_json() for name, score in label.scores.items()},
            }
            for label in best
        ],
    }


def _lexical(material: Material, background: Counter[str] | None, scores: tuple[str, ...], seed: int) -> Label:
    """The lexical label of a feature, its rule scored on samples that it was not made from."""
    label = describe(material.text, background)
    measured = score_rule(
        label.detail["rule"],
        material.detection(seed) if "detection" in scores else [],
        material.fuzzing(seed) if "fuzzing" in scores else [],
    )
    return replace(label, scores=measured)


def _scores(text: str) -> tuple[str, ...]:
    """The scores that a request names, in the order of the documents."""
    named = {name.strip() for name in text.split(",")} - {"", "none"}
    unknown = sorted(named - set(RULE_SCORES))
    if unknown:
        raise BadValue(f"score: there is no score {unknown[0]!r}", f"there are: {', '.join(RULE_SCORES)}, none")
    return tuple(name for name in RULE_SCORES if name in named)


def _spread(labels: list[Label], name: str) -> dict[str, Any]:
    """How many labels have a score, its median, and how many stand clear of chance."""
    found = [label.scores[name] for label in labels if name in label.scores]
    values = [score.value for score in found if score.value is not None]
    return {
        "labels": len(values),
        "median": float(np.median(values)) if values else None,
        "above_chance": sum(score.low is not None and score.low > (score.chance or 0.0) for score in found),
    }


def _background(extraction: Extraction, strings: list[str], context: Context) -> Counter[str] | None:
    """How often words stand in the text that was extracted; None when its tokens are gone."""
    dataset = catalogue.dataset(context.db, extraction.dataset)
    for about, rows in token_stores(context.home, dataset):
        made = (extraction.context, extraction.provenance["tokenizer"], extraction.spec.get("packing", "packed"))
        if (about["context"], about["tokenizer"], about.get("packing", "packed")) == made:
            return words_of(rows.tokens, rows.lengths, strings, _BACKGROUND_SAMPLES)
    return None
