"""Each score of a label: what is asked for it, and what the answers are worth."""

from collections.abc import Sequence
from typing import Any

from ..errors import BadValue
from ..labeling.intruder import groups, intruder_question, score_intruders
from ..labeling.judging import Model, judge, judge_questions
from ..labeling.prompts import Prompt, Rendered, load_prompt
from ..labeling.rules import Rule
from ..labeling.scoring import FEW, score_rule
from ..labeling.simulation import chosen, correlation, read_simulation, simulate_rule, simulation_questions
from ..labeling.surprisal import score_surprisal, surprisal_pairs
from ..records import Score
from .label_evidence import Material

SCORES = ("detection", "fuzzing", "simulation", "intruder", "surprisal")
RULE_SCORES = ("detection", "fuzzing", "simulation")
"""Those that a rule has without an LLM."""
_PROMPTED = ("detection", "fuzzing", "simulation", "intruder")


def named_scores(text: str, explainer: str) -> tuple[str, ...]:
    """The scores that a request names, in the order of the documents."""
    named = {name.strip() for name in text.split(",")} - {"", "none"}
    known = RULE_SCORES if explainer == "lexical" else SCORES
    for name in sorted(named - set(known)):
        reason = "needs an LLM" if name in SCORES else "is no score"
        raise BadValue(f"score: {name!r} {reason}", f"of the explainer {explainer} there are: {', '.join(known)}, none")
    return tuple(name for name in SCORES if name in named)


def prompt_of(score: str) -> Prompt | None:
    """What a judge is asked for a score; surprisal asks nothing in words."""
    return load_prompt(score, score) if score in _PROMPTED else None


def rule_scores(names: Sequence[str], rule: Rule | None, material: Material, seed: int) -> dict[str, Score]:
    """The scores of a lexical rule, without any LLM."""
    detecting = material.detection(seed) if {"detection", "simulation"}.intersection(names) else []
    found = score_rule(
        rule,
        detecting if "detection" in names else [],
        material.fuzzing(seed) if "fuzzing" in names else [],
    )
    simulated = simulate_rule(rule, detecting) if "simulation" in names else None
    return found | ({"simulation": simulated} if simulated is not None else {})


def score_questions(name: str, label: str, material: Material, seed: int) -> list[Rendered]:
    """What is asked for one score of one label; of surprisal nothing that could be shown."""
    prompt = prompt_of(name)
    if prompt is None:
        return []
    if name == "simulation":
        snippets = chosen(material.detection(seed))
        return [question for question, _ in simulation_questions(prompt, label, snippets)]
    if name == "intruder":
        made = groups(material.detection(seed))
        return [intruder_question(prompt, made)] if len(made) >= FEW else []
    return [question for question, _ in judge_questions(prompt, label, material.snippets(name, seed))]


def judged(model: Model, name: str, asked: Sequence[tuple[str, Material]], seed: int) -> list[Score | None]:
    """One score of several labels, by an LLM."""
    if name == "surprisal":
        return [_surprisal(model, label, material, seed) for label, material in asked]
    prompt = prompt_of(name)
    assert prompt is not None
    if name in ("detection", "fuzzing"):
        return judge(model, prompt, [(label, material.snippets(name, seed)) for label, material in asked])
    if name == "intruder":
        made = [groups(material.detection(seed)) for _, material in asked]
        enough = [each for each in made if len(each) >= FEW]
        answers = iter(model.ask([intruder_question(prompt, each) for each in enough]))
        return [score_intruders(next(answers), each, model.name) if len(each) >= FEW else None for each in made]
    snippets = [chosen(material.detection(seed)) for _, material in asked]
    batches = [simulation_questions(prompt, label, some) for (label, _), some in zip(asked, snippets, strict=True)]
    answers = iter(model.ask([question for batch in batches for question, _ in batch]))
    guessed = [[guess for _, part in batch for guess in read_simulation(next(answers), part)] for batch in batches]
    return [correlation(guess, some, model.name) for guess, some in zip(guessed, snippets, strict=True)]


def _surprisal(model: Any, label: str, material: Material, seed: int) -> Score | None:
    if not hasattr(model, "likelihoods"):
        raise BadValue("score: surprisal needs log-probabilities", f"{model.name} has none: leave it out of --score")
    pairs, some = surprisal_pairs(label, material.detection(seed))
    if len(some) < 2 * FEW:
        return None
    values = model.likelihoods(pairs)
    return score_surprisal(values if isinstance(values, list) else None, some, model.name)
