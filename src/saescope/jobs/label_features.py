"""`label`: describe features from their examples in words, and measure how well each description holds."""

import contextlib
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import NotFound
from ..fingerprint import content_hash
from ..home import new_id
from ..labeling import parse_features
from ..labeling.judging import Failed, Model
from ..llm.budget import BudgetSpent
from ..records import Extraction, Label, LabelError, Progress
from ..specs import LabelFeatures
from ..store import catalogue
from ..store.labels import add_errors, add_labels, current_labels, labelled_by
from ..store.tokenized import token_stores
from .asking import Asking, asking, chosen_endpoint
from .clock import now
from .context import Context
from .label_estimate import estimate
from .label_evidence import materials, measure_features, words_of
from .label_scores import named_scores
from .label_writers import Asked, Lexical, asked_version, request_of, written

_SHOWN = 12
_BACKGROUND_SAMPLES = 2000


def run(spec: LabelFeatures, context: Context, model: Model | None = None) -> dict[str, Any]:
    """Label the live features asked for; earlier labels are kept, and a run that was stopped goes on.

    model: who answers the questions of the explainers that need an LLM, instead of a server.
    """
    if spec.estimate:
        return estimate(spec, context)
    scores = named_scores(spec.score, spec.explainer)
    if spec.explainer == "lexical":
        return _run(spec, context, Lexical(scores, spec.seed))
    with _model(spec, context, model, scores) as answering:
        document = _run(spec, context, Asked(answering, spec, scores))
        return document | ({"llm": answering.report()} if isinstance(answering, Asking) else {})


def _run(spec: LabelFeatures, context: Context, writer: Lexical | Asked) -> dict[str, Any]:
    began = time.perf_counter()
    extraction, store = context.extraction(spec.extraction)
    chosen = parse_features(spec.features, extraction.features)
    request = request_of(spec, writer.version, writer.scores)
    done = set() if spec.again else labelled_by(context.db, extraction.id, request).intersection(chosen)
    strings = context.vocabulary(catalogue.model(context.db, extraction.model))
    context.tell(Progress("labelling", len(done), len(chosen), "features"))
    if not store.measured:
        measure_features(store)
    writer.background = _background(extraction, strings, context)
    todo = [feature for feature in chosen if feature not in done]
    near = bool(writer.scores) or spec.explainer != "lexical"
    count = failed = 0
    stopped: BudgetSpent | None = None
    try:
        for some in written(writer, materials(store, todo, strings, spec.seed, near=near)):
            labels = [replace(each, created=now(), request=request) for _, each in some if isinstance(each, Label)]
            errors = [
                LabelError(material.text.index, spec.explainer, writer_model(writer), *each, request, now())
                for material, each in some
                if isinstance(each, Failed)
            ]
            add_labels(context.db, extraction.id, labels)
            add_errors(context.db, extraction.id, errors)
            count += len(labels)
            failed += len(errors)
            context.tell(Progress("labelling", len(done) + count + failed, len(chosen), "features"))
            context.check_stop()
    except BudgetSpent as error:
        stopped = error
        context.notify(str(error))
    context.tell(Progress("labelling", len(chosen), len(chosen), "features"))
    facts = store.to_arrow(["density", "max"]).to_pydict()
    alive = sum(facts["density"][feature] > 0 for feature in todo)
    left = max(0, alive - count - failed) if stopped else 0
    if not count and not done and not failed and stopped is None:
        raise NotFound(
            f"none of the {len(chosen)} features asked for is alive in extraction {extraction.name!r}",
            "a dead feature has no examples to describe; see `saescope features list` for the others",
        )
    labels = list(current_labels(context.db, extraction.id, chosen).values())
    best = sorted(labels, key=lambda label: (-(label.clarity or 0.0), label.feature))[:_SHOWN]
    return {
        "extraction": extraction.name,
        "labelled": count + len(done),
        "kept": len(done),
        "failed": failed,
        "left": left,
        "stopped": None if stopped is None else stopped.message,
        "dead": len(chosen) - count - failed - len(done) - left,
        "seconds": time.perf_counter() - began,
        "median_clarity": float(np.median([label.clarity or 0.0 for label in labels])) if labels else None,
        "scores": {name: _spread(labels, name) for name in writer.scores},
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


@contextlib.contextmanager
def _model(
    spec: LabelFeatures, context: Context, model: Model | None, scores: tuple[str, ...]
) -> Iterator[Model | Asking]:
    """Whom to ask: the one handed in, or the server that the request names."""
    if model is not None:
        yield model
        return
    extraction, _ = context.extraction(spec.extraction)
    there = chosen_endpoint(context.db, spec)
    request = request_of(spec, asked_version(there.model, spec, scores), scores)
    scope = content_hash("scope", extraction.id, request, spec.features, new_id() if spec.again else "")
    with asking(spec, context, there, scope) as answering:
        yield answering


def writer_model(writer: Lexical | Asked) -> str | None:
    return writer.model.name if isinstance(writer, Asked) else None


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
