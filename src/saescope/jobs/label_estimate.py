"""What labelling by an LLM would ask and cost, before anything is spent; and one feature's prompts, filled in."""

from typing import Any

import numpy as np

from ..errors import NotFound
from ..labeling import parse_features
from ..labeling.judging import explain_question
from ..labeling.surprisal import surprisal_pairs
from ..llm.budget import OVERHEAD, Spend, cost, worst
from ..records import Endpoint
from ..specs import LabelFeatures
from ..store import catalogue
from ..store.labels import labelled_by
from ..store.llm_calls import Ledger
from .asking import budget_of, chosen_endpoint, question_of, spent_json
from .context import Context, check_feature
from .label_evidence import Material, materials
from .label_scores import named_scores, score_questions
from .label_writers import asked_version, explainer_prompt, request_of

_SAMPLED = 48
"""Features whose questions are written out; the others are taken to be like them."""
_TOKENS_PER_BYTE = 0.3
"""English in the usual vocabularies, numbering and marks included; replaced by what the ledger says, where it can."""
_LABEL = "a label of some ten words, as long as they usually are"
_ANSWERED = 0.6
"""Share of the room for an answer that is usually filled."""


def estimate(spec: LabelFeatures, context: Context) -> dict[str, Any]:
    """Calls, tokens and money: the likely, and the most where every answer is as long as it may be."""
    extraction, store = context.extraction(spec.extraction)
    chosen = parse_features(spec.features, extraction.features)
    scores = named_scores(spec.score, spec.explainer)
    there = chosen_endpoint(context.db, spec)
    budget = budget_of(spec, there)
    request = request_of(spec, asked_version(there.model, spec, scores), scores)
    done = set() if spec.again else labelled_by(context.db, extraction.id, request).intersection(chosen)
    densities = store.to_arrow(["density"]).column("density").to_numpy()
    todo = [feature for feature in chosen if feature not in done and densities[feature] > 0]
    some = [todo[at] for at in np.linspace(0, len(todo) - 1, min(len(todo), _SAMPLED)).astype(int)] if todo else []
    strings = context.vocabulary(catalogue.model(context.db, extraction.model))
    sampled = [questions(spec, material, scores, there) for material in materials(store, some, strings, spec.seed)]
    asked = [each for some in sampled for each in some]
    factor = len(todo) / len(sampled) if sampled else 0.0
    density = Ledger(context.db).density(there.url, there.model) or _TOKENS_PER_BYTE
    most = Spend(*(round(factor * sum(each[at] for each in asked)) for at in range(4)))
    tokens_in = round(density * max(0, most.tokens_in - OVERHEAD * most.calls)) + 8 * most.calls
    tokens_out = round(_ANSWERED * most.tokens_out)
    likely = Spend(most.calls, tokens_in, tokens_out, cost(there, tokens_in, tokens_out))
    return {
        "extraction": extraction.name,
        "endpoint": there.name,
        "model": there.model,
        "features": len(todo),
        "kept": len(done),
        "calls": likely.calls,
        "calls_per_feature": likely.calls / len(todo) if todo else 0.0,
        **spent_json(there, likely),
        "at_most": spent_json(there, most),
        "budget": spec.budget,
        "fits": None if budget is None else likely.in_unit(budget.unit) <= budget.amount,
    }


def questions(spec: LabelFeatures, material: Material, scores: tuple[str, ...], there: Endpoint) -> list[Spend]:
    """The worst of every call for one feature, with a label of the usual length in the judges' questions."""
    asked = [explain_question(explainer_prompt(spec), material.text, material.contrast)]
    for name in scores:
        asked += score_questions(name, _LABEL, material, spec.seed)
    found = [worst(there, question_of(each)[:3], each.max_tokens) for each in asked]
    if "surprisal" in scores:
        pairs, _ = surprisal_pairs(_LABEL, material.detection(spec.seed))
        found.append(worst(there, tuple(text for pair in pairs for text in pair), len(pairs), OVERHEAD * len(pairs)))
    return found


def show_prompt(spec: LabelFeatures, feature: int, context: Context) -> dict[str, Any]:
    """What an LLM would be asked for one feature's label, filled in; nothing is asked."""
    extraction, store = context.extraction(spec.extraction)
    check_feature(feature, extraction.features)
    strings = context.vocabulary(catalogue.model(context.db, extraction.model))
    material = next(materials(store, [feature], strings, spec.seed), None)
    if material is None:
        raise NotFound(f"feature {feature} is dead in extraction {extraction.name!r}", "choose one that has examples")
    prompt = explainer_prompt(spec)
    rendered = explain_question(prompt, material.text, material.contrast)
    return {"feature": feature, "prompt": prompt.version, "system": rendered.system, "user": rendered.user}
