"""Shapes in signatures are checked while the tests run, and nowhere else: users pay nothing for them."""

from jaxtyping import install_import_hook

# Compiled loops are left out: numba reads their source itself.
_CHECKED = [
    "saescope.sae.base",
    "saescope.sae.topk",
    "saescope.sae.metrics",
    "saescope.training",
    "saescope.steering",
    "saescope.models.language_model",
    "saescope.extraction.groups",
    "saescope.extraction.hashing",
    "saescope.extraction.ranked",
    "saescope.extraction.state",
    "saescope.extraction.statistics",
    "saescope.extraction.weights",
    "saescope.extraction.probe",
    "saescope.extraction.fire",
]
install_import_hook(_CHECKED, "beartype.beartype")
