"""Who writes and scores labels: token statistics, or an LLM; and how many features are worked on at once."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from itertools import islice
from typing import Protocol

from ..errors import StudioError
from ..fingerprint import content_hash
from ..labeling import describe
from ..labeling.judging import Failed, Model, explain
from ..labeling.prompts import Prompt, load_prompt
from ..records import Label
from ..specs import LabelFeatures
from ..version import VERSION
from .label_evidence import Material
from .label_scores import judged, prompt_of, rule_scores

Written = tuple[Material, Label | Failed]


class Writer(Protocol):
    """Labels and scores features."""

    batch: int
    """Features handed over together."""
    at_once: int
    """Threads that hand some over."""
    version: str
    """Everything that the labels depend on besides the request."""
    background: Counter[str] | None

    def write(self, some: list[Material]) -> list[Label | Failed]: ...


def written(writer: Writer, pending: Iterator[Material]) -> Iterator[list[Written]]:
    """Every feature with its label, in groups, as they are ready.

    What stops the request (a budget, a refused key, a stop) is raised when all that is ready has been yielded.
    """
    if writer.at_once == 1:
        while some := list(islice(pending, writer.batch)):
            yield list(zip(some, writer.write(some), strict=True))
        return
    under_way: dict[Future[list[Label | Failed]], Material] = {}
    problem: StudioError | None = None
    with ThreadPoolExecutor(writer.at_once, thread_name_prefix="label") as pool:
        while True:
            room = 0 if problem else writer.at_once - len(under_way)
            for material in islice(pending, room):
                under_way[pool.submit(writer.write, [material])] = material
            if not under_way:
                break
            ready: list[Written] = []
            for done in wait(under_way, return_when=FIRST_COMPLETED).done:
                material = under_way.pop(done)
                try:
                    ready.append((material, done.result()[0]))
                except StudioError as error:
                    problem = problem or error
            if ready:
                yield ready
    if problem is not None:
        raise problem


class Lexical:
    """Labels from token statistics, each scored by its rule."""

    batch, at_once, version = 64, 1, ""

    def __init__(self, scores: tuple[str, ...], seed: int) -> None:
        self.scores, self.seed = scores, seed
        self.background: Counter[str] | None = None

    def write(self, some: list[Material]) -> list[Label | Failed]:
        labels: list[Label | Failed] = []
        for material in some:
            label = describe(material.text, self.background)
            measured = rule_scores(self.scores, label.detail["rule"], material, self.seed)
            labels.append(replace(label, scores=measured))
        return labels


class Asked:
    """Labels from an LLM, judged by it too: one question a label, then a few for each score."""

    batch = 8

    def __init__(self, model: Model, spec: LabelFeatures, scores: tuple[str, ...]) -> None:
        self.model, self.spec, self.scores = model, spec, scores
        self.at_once: int = getattr(model, "at_once", 1)
        self.prompt = explainer_prompt(spec)
        self.background: Counter[str] | None = None
        self.version = asked_version(model.name, spec, scores)

    def write(self, some: list[Material]) -> list[Label | Failed]:
        labels = explain(self.model, self.prompt, [(each.text, each.contrast) for each in some], self.spec.explainer)
        there = [(at, label) for at, label in enumerate(labels) if isinstance(label, Label)]
        for name in self.scores:
            asked = [(label.text, some[at]) for at, label in there]
            for (at, _), score in zip(there, judged(self.model, name, asked, self.spec.seed), strict=True):
                label = labels[at]
                if score is not None and isinstance(label, Label):
                    labels[at] = replace(label, scores={**label.scores, name: score})
        return labels


def asked_version(model: str, spec: LabelFeatures, scores: tuple[str, ...]) -> str:
    """What labels by an LLM depend on: the model and the text of every prompt."""
    judges = [prompt.version if (prompt := prompt_of(name)) else name for name in scores]
    return " ".join([model, explainer_prompt(spec).version, *judges])


def request_of(spec: LabelFeatures, version: str, scores: tuple[str, ...]) -> str:
    """The hash by which a stopped request goes on."""
    return content_hash("label", VERSION, spec.explainer, spec.seed, version, *scores)


def explainer_prompt(spec: LabelFeatures) -> Prompt:
    """The prompt that a request asks with."""
    kind = "explain-contrastive" if spec.explainer == "llm-contrastive" else "explain"
    return load_prompt(spec.prompt or kind, kind)
