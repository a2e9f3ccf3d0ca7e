"""`label`: describe features from their examples in words, and measure how well each description holds."""

import time
from collections import Counter
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np

from ..errors import BadValue, NotFound
from ..fingerprint import content_hash
from ..labeling import describe, parse_features
from ..labeling.judging import Model, explain, explain_question, judge
from ..labeling.prompts import Prompt, load_prompt
from ..labeling.scoring import score_rule
from ..records import Extraction, Label, Progress
from ..specs import LabelFeatures
from ..store import catalogue
from ..store.labels import add_labels, current_labels, labelled_by
from ..store.tokenized import token_stores
from ..version import VERSION
from .clock import now
from .context import Context, check_feature
from .label_evidence import Material, materials, measure_features, words_of

_SHOWN = 12
_BACKGROUND_SAMPLES = 2000
RULE_SCORES = ("detection", "fuzzing")


def run(spec: LabelFeatures, context: Context, model: Model | None = None) -> dict[str, Any]:
    """Label the live features asked for; earlier labels are kept, and a run that was stopped goes on.

    model: who answers the questions of the explainers that need an LLM.
    """
    began = time.perf_counter()
    extraction, store = context.extraction(spec.extraction)
    chosen = parse_features(spec.features, extraction.features)
    scores = _scores(spec.score)
    writer = _writer(spec, model, scores)
    request = content_hash("label", VERSION, spec.explainer, spec.seed, writer.version, *scores)
    done = set() if spec.again else labelled_by(context.db, extraction.id, request).intersection(chosen)
    strings = context.vocabulary(catalogue.model(context.db, extraction.model))
    context.tell(Progress("labelling", len(done), len(chosen), "features"))
    if not store.measured:
        measure_features(store)
    writer.background = _background(extraction, strings, context)
    todo = [feature for feature in chosen if feature not in done]
    count = failed = 0
    pending = materials(store, todo, strings, spec.seed, near="detection" in scores or spec.explainer != "lexical")
    while some := list(islice(pending, writer.batch)):
        written = [replace(label, created=now(), request=request) for label in writer.write(some) if label is not None]
        add_labels(context.db, extraction.id, written)
        count += len(written)
        failed += len(some) - len(written)
        context.tell(Progress("labelling", len(done) + count + failed, len(chosen), "features"))
        context.check_stop()
    context.tell(Progress("labelling", len(chosen), len(chosen), "features"))
    if not count and not done and not failed:
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
        "failed": failed,
        "dead": len(chosen) - count - failed - len(done),
        "seconds": time.perf_counter() - began,
        "median_clarity": float(np.median([label.clarity or 0.0 for label in labels])) if labels else None,
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


class _Lexical:
    """Labels from token statistics, each scored by its rule."""

    batch, version = 64, ""

    def __init__(self, scores: tuple[str, ...], seed: int) -> None:
        self.scores, self.seed = scores, seed
        self.background: Counter[str] | None = None

    def write(self, some: list[Material]) -> list[Label | None]:
        labels: list[Label | None] = []
        for material in some:
            label = describe(material.text, self.background)
            measured = score_rule(
                label.detail["rule"],
                material.detection(self.seed) if "detection" in self.scores else [],
                material.fuzzing(self.seed) if "fuzzing" in self.scores else [],
            )
            labels.append(replace(label, scores=measured))
        return labels


class _Asking:
    """Labels from an LLM, judged by it too: one question a label, then a few for each score."""

    batch = 8

    def __init__(self, model: Model, explainer: str, prompt: Prompt, scores: tuple[str, ...], seed: int) -> None:
        self.model, self.explainer, self.prompt, self.scores, self.seed = model, explainer, prompt, scores, seed
        self.judges = {name: load_prompt(name, name) for name in scores}
        self.background: Counter[str] | None = None
        self.version = " ".join([model.name, prompt.version, *(judge.version for judge in self.judges.values())])

    def write(self, some: list[Material]) -> list[Label | None]:
        labels = explain(self.model, self.prompt, [(each.text, each.contrast) for each in some], self.explainer)
        there = [(at, label) for at, label in enumerate(labels) if label is not None]
        for name, prompt in self.judges.items():
            asked = [
                (label.text, some[at].detection(self.seed) if name == "detection" else some[at].fuzzing(self.seed))
                for at, label in there
            ]
            for (at, _), score in zip(there, judge(self.model, prompt, asked), strict=True):
                label = labels[at]
                if score is not None and label is not None:
                    labels[at] = replace(label, scores={**label.scores, name: score})
        return labels


def _writer(spec: LabelFeatures, model: Model | None, scores: tuple[str, ...]) -> "_Lexical | _Asking":
    if spec.explainer == "lexical":
        return _Lexical(scores, spec.seed)
    if model is None:
        raise BadValue(
            f"explainer: {spec.explainer} needs an LLM", "from Python: studio.run(spec, model=…); see docs/labels.md"
        )
    return _Asking(model, spec.explainer, explainer_prompt(spec), scores, spec.seed)


def explainer_prompt(spec: LabelFeatures) -> Prompt:
    """The prompt that a request asks with."""
    kind = "explain-contrastive" if spec.explainer == "llm-contrastive" else "explain"
    return load_prompt(spec.prompt or kind, kind)


def show_prompt(spec: LabelFeatures, feature: int, context: Context) -> dict[str, Any]:
    """What an LLM would be asked for one feature's label, filled in; nothing is asked."""
    extraction, store = context.extraction(spec.extraction)
    check_feature(feature, extraction.features)
    strings = context.vocabulary(catalogue.model(context.db, extraction.model))
    material = next(materials(store, [feature], strings, spec.seed), None)
    if material is None:
        raise NotFound(f"feature {feature} is dead in extraction {extraction.name!r}", "choose one that has examples")
    prompt = explainer_prompt(spec)
    return {
        "feature": feature,
        "prompt": prompt.version,
        **explain_question(prompt, material.text, material.contrast)._asdict(),
    }


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
