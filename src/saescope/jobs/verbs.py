"""Which job carries out which spec: the one table that commands and workers look into. Loads no torch."""

import importlib
from types import ModuleType

from .. import specs
from ..errors import BadValue
from ..requests import VERBS, durable, lane_of, spec_class, spec_of, title, verb

__all__ = ["durable", "lane_of", "memory_ran_out", "module", "spec_class", "spec_of", "title", "verb"]


def module(spec: specs.Spec) -> ModuleType:
    """The job of a spec, loaded: most of them load torch. BadValue where the spec is no request."""
    if type(spec) not in VERBS:
        known = ", ".join(each.__name__ for each in VERBS)
        raise BadValue(f"{type(spec).__name__} is not a request", f"requests are {known}")
    return importlib.import_module(f".{VERBS[type(spec)]}", __package__)


def memory_ran_out(error: BaseException) -> bool:
    """Whether an error is Python's or torch's way of saying so: torch has a class for it on a GPU only."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return "can't allocate memory" in str(error) or "not enough memory" in str(error)
