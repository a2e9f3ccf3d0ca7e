"""Labels and scores by an LLM: what is asked, in how few calls, and how answers are read.

Who carries the questions there (a server, a cache, a test) is a `Model`; this file knows only text.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from ..records import Label, Score
from .evidence import ExampleText, FeatureText
from .grading import MARKED, Snippet
from .prompts import Prompt, Rendered, data_block, read_answers, read_label, snippet
from .scoring import balanced

PER_CALL = 25
"""Snippets judged in one call."""
_STRATA = (("top", 8), ("q4", 4), ("q3", 4), ("q2", 2), ("q1", 2))
"""How many examples of each stratum a label is written from."""
_SILENT = 6


class Failed(NamedTuple):
    """No answer, or none that can be read."""

    reason: str
    raw: str | None = None
    """What was answered, as it came."""


class Model(Protocol):
    """Somebody who answers."""

    name: str

    def ask(self, questions: Sequence[Rendered]) -> Sequence[str | Failed | None]:
        """One answer for each question, in order; Failed or None for one that failed."""
        ...


def explain_question(prompt: Prompt, feature: FeatureText, near: Sequence[ExampleText] = ()) -> Rendered:
    """What is asked for a label: examples from every stratum with their activations marked, and silent ones."""
    whole = max((max(example.activations, default=0.0) for example in feature.examples), default=0.0) or 1.0
    active: list[str] = []
    seen: set[int | None] = set()
    for stratum, most in _STRATA:
        some = [each for each in feature.examples if each.stratum == stratum and each.tokens]
        some = [each for each in some if each.sample is None or each.sample not in seen][:most]
        seen.update(each.sample for each in some)
        active += [f"{len(active) + at}. {_marked(each, whole)}" for at, each in enumerate(some, 1)]
    silent = [*near[: _SILENT // 2], *(example for example in feature.examples if example.stratum == "none")][:_SILENT]
    lines = [f"{at}. {snippet(example.tokens)}" for at, example in enumerate(silent, 1)]
    writes = ", ".join(repr(token) for token in feature.writes_most[:10]) or "unknown"
    return prompt.render(active=data_block(active), silent=data_block(lines), writes=writes)


def _marked(example: ExampleText, whole: float) -> str:
    """A snippet with its active tokens marked, and how strong they are, from 1 to 10 for the feature's strongest."""
    strongest = max(example.activations, default=0.0)
    marks = [at for at, value in enumerate(example.activations) if value >= MARKED * strongest and value > 0]
    strengths = [
        f"{snippet(example.tokens[at : at + 1])} {max(1, round(10 * example.activations[at] / whole))}"
        for at in marks[:8]
    ]
    return f"{snippet(example.tokens, marks)}  [{', '.join(strengths)}]"


def explain(
    model: Model, prompt: Prompt, features: Sequence[tuple[FeatureText, Sequence[ExampleText]]], source: str
) -> list[Label | Failed]:
    """A label for each feature; Failed where there was no answer, or none that can be read."""
    answers = model.ask([explain_question(prompt, feature, near) for feature, near in features])
    labels: list[Label | Failed] = []
    for (feature, _), answer in zip(features, answers, strict=True):
        text = read_label(answer) if isinstance(answer, str) else None
        used = tuple(sorted({e.sample for e in feature.examples if e.sample is not None}))
        if text is not None:
            labels.append(Label(feature.index, text, source, model.name, "", prompt=prompt.version, samples=used))
        elif isinstance(answer, str):
            labels.append(Failed("an answer that cannot be read", answer))
        else:
            labels.append(answer or Failed("no answer"))
    return labels


def judge_questions(prompt: Prompt, label: str, snippets: Sequence[Snippet]) -> list[tuple[Rendered, int]]:
    """(question, how many snippets) of each call; the label is data too."""
    calls = -(-len(snippets) // PER_CALL)
    questions = []
    for call in range(calls):
        some = snippets[call * len(snippets) // calls : (call + 1) * len(snippets) // calls]
        lines = [f"{at}. {snippet(each.tokens, each.marks)}" for at, each in enumerate(some, 1)]
        rendered = prompt.render(len(some), label=data_block([label]), snippets=data_block(lines))
        questions.append((rendered, len(some)))
    return questions


def judge(model: Model, prompt: Prompt, asked: Sequence[tuple[str, Sequence[Snippet]]]) -> list[Score | None]:
    """The balanced accuracy of each label on its snippets; what was not answered as asked counts as failed."""
    batches = [judge_questions(prompt, label, snippets) for label, snippets in asked]
    answers = iter(model.ask([question for batch in batches for question, _ in batch]))
    scores: list[Score | None] = []
    for batch, (_, snippets) in zip(batches, asked, strict=True):
        told: list[bool | None] = []
        for _, count in batch:
            answer = next(answers)
            read = read_answers(answer, count) if isinstance(answer, str) else None
            told.extend(read if read is not None else [None] * count)
        scores.append(balanced(told, snippets, model.name))
    return scores
