"""Which job carries out which spec: the one table that commands, workers and the API look into. Loads no torch."""

import importlib
import re
from types import ModuleType
from typing import Any

from .. import specs
from ..errors import BadValue
from ..records import Job
from ..store.jobs import Lane

_MODULES: dict[type[specs.Spec], str] = {
    specs.AddDataset: "add_dataset",
    specs.AddModel: "add_model",
    specs.AddSae: "add_sae",
    specs.CheckSae: "check_sae",
    specs.TrainSae: "train_sae",
    specs.TrainSaes: "train_sae",
    specs.ExtractFeatures: "extract_features",
    specs.LabelFeatures: "label_features",
    specs.FireText: "fire_text",
    specs.SteerText: "steer_text",
}

_SHORT = (specs.CheckSae, specs.FireText, specs.SteerText)
"""Questions that are answered at once: no rows are kept of them."""


def module(spec: specs.Spec) -> ModuleType:
    """The job of a spec, loaded: most of them load torch. BadValue where the spec is no request."""
    if type(spec) not in _MODULES:
        known = ", ".join(each.__name__ for each in _MODULES)
        raise BadValue(f"{type(spec).__name__} is not a request", f"requests are {known}")
    return importlib.import_module(f".{_MODULES[type(spec)]}", __package__)


def durable(spec: specs.Spec) -> bool:
    """Whether a spec is carried out as a job with a row of its own."""
    estimated = isinstance(spec, specs.ExtractFeatures) and (spec.estimate or bool(spec.estimate_for))
    return type(spec) in _MODULES and not isinstance(spec, _SHORT) and not estimated


def verb(kind: type[specs.Spec]) -> str:
    """A spec's verb: extract_features of ExtractFeatures."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()


def spec_of(job: Job) -> specs.Spec:
    """The spec of a job's row; BadValue where this version knows no such verb."""
    return spec_class(job.verb)(**job.spec)


def spec_class(name: str) -> type[specs.Spec]:
    """The spec of a verb."""
    found = next((each for each in _MODULES if verb(each) == name), None)
    if found is None:
        raise BadValue(f"there is no verb {name!r}", f"verbs are {', '.join(map(verb, _MODULES))}")
    return found


def lane_of(spec: specs.Spec) -> Lane:
    """Labelling by an LLM runs beside whatever has the device."""
    return "llm" if isinstance(spec, specs.LabelFeatures) else "device"


def title(spec: specs.Spec) -> str:
    """What a spec makes or works on, for a list of jobs."""
    if isinstance(spec, specs.TrainSaes):
        return ", ".join(each.name or each.kind for each in spec.saes)
    if isinstance(spec, specs.ExtractFeatures):
        return spec.name or f"{', '.join(spec.saes)} on {spec.dataset}"
    if isinstance(spec, specs.TrainSae):
        return spec.name or f"{spec.kind}-{spec.hookpoint}-{spec.d_sae}"
    fields: dict[str, Any] = dict(spec)
    return str(fields.get("name") or fields.get("extraction") or fields.get("sae") or "")


def memory_ran_out(error: BaseException) -> bool:
    """Whether an error is Python's or torch's way of saying so: torch has a class for it on a GPU only."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return "can't allocate memory" in str(error) or "not enough memory" in str(error)
