"""What is asked under which name: the one table that commands, workers and the API look into. Loads no torch."""

import re
from typing import Any, Literal

from . import specs
from .errors import BadValue
from .records import Job

VERBS: dict[type[specs.Spec], str] = {
    specs.AddDataset: "add_dataset",
    specs.AddModel: "add_model",
    specs.AddSae: "add_sae",
    specs.CheckSae: "check_sae",
    specs.TrainSae: "train_sae",
    specs.TrainSaes: "train_sae",
    specs.ExtractFeatures: "extract_features",
    specs.LabelFeatures: "label_features",
    specs.ShowPrompt: "show_prompt",
    specs.FireText: "fire_text",
    specs.FireLongText: "fire_text",
    specs.SteerText: "steer_text",
    specs.FindNeighbors: "neighbors",
    specs.RunDemo: "run_demo",
}
"""The module of `jobs/` that carries out each spec."""

_SHORT = (specs.CheckSae, specs.ShowPrompt, specs.FireText, specs.FireLongText, specs.SteerText, specs.FindNeighbors)
"""Questions that are answered at once: no rows are kept of them."""


def durable(spec: specs.Spec) -> bool:
    """Whether a spec is carried out as a job with a row of its own."""
    return type(spec) in VERBS and not isinstance(spec, _SHORT) and not only_estimated(spec)


def only_estimated(spec: specs.Spec) -> bool:
    """Whether a spec asks what it would take, and no more."""
    if isinstance(spec, specs.TrainSaes):
        return spec.saes[0].estimate
    if isinstance(spec, specs.ExtractFeatures):
        return spec.estimate or bool(spec.estimate_for)
    return isinstance(spec, specs.TrainSae | specs.LabelFeatures) and spec.estimate


def verb(kind: type[specs.Spec]) -> str:
    """A spec's verb: extract_features of ExtractFeatures."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()


def spec_of(job: Job) -> specs.Spec:
    """The spec of a job's row; BadValue where this version knows no such verb."""
    return spec_class(job.verb)(**job.spec)


def spec_class(name: str) -> type[specs.Spec]:
    """The spec of a verb."""
    found = next((each for each in VERBS if verb(each) == name), None)
    if found is None:
        raise BadValue(f"there is no verb {name!r}", f"verbs are {', '.join(map(verb, VERBS))}")
    return found


def lane_of(spec: specs.Spec) -> Literal["device", "llm"]:
    """Labelling by an LLM runs beside whatever has the device."""
    return "llm" if isinstance(spec, specs.LabelFeatures) else "device"


def title(spec: specs.Spec) -> str:
    """What a spec makes or works on, for a list of jobs."""
    if isinstance(spec, specs.RunDemo):
        return "demo"
    if isinstance(spec, specs.TrainSaes):
        return ", ".join(each.name or each.kind for each in spec.saes)
    if isinstance(spec, specs.ExtractFeatures):
        return spec.name or f"{', '.join(spec.saes)} on {spec.dataset}"
    if isinstance(spec, specs.TrainSae):
        return spec.name or f"{spec.kind}-{spec.hookpoint}-{spec.d_sae}"
    fields: dict[str, Any] = dict(spec)
    return str(fields.get("name") or fields.get("extraction") or fields.get("sae") or "")
