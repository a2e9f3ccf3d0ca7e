"""Shapes in signatures are checked while the tests run, and nowhere else: users pay nothing for them."""

import torch
from jaxtyping import install_import_hook

torch.set_num_threads(1)  # tiny products gain nothing from more, and one thread always adds in the same order

# Compiled loops are left out: numba reads their source itself.
_CHECKED = [
    "saescope.sae.base",
    "saescope.sae.abs_topk",
    "saescope.sae.active",
    "saescope.sae.gated",
    "saescope.sae.group_max",
    "saescope.sae.norm_topk",
    "saescope.sae.topk",
    "saescope.sae.fit",
    "saescope.sae.metrics",
    "saescope.sae.screen",
    *(
        f"saescope.training.{name}"
        for name in ("checkpoints", "evaluation", "initial", "kinds", "measure", "shuffle", "sparse", "trainer")
    ),
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
