"""For every test: shapes in signatures are checked, and a real PostgreSQL is there where it is installed."""

from collections.abc import Iterator

import pytest
import torch
from jaxtyping import install_import_hook

from support import postgresql as server

torch.set_num_threads(1)  # tiny products gain nothing from more, and one thread always adds in the same order

# Users pay nothing for the checks. Compiled loops are left out: numba reads their source itself.
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


@pytest.fixture(scope="session")
def postgresql() -> Iterator[server.Postgresql]:
    """A server for the whole run of the tests, started by the first that asks for it."""
    try:
        with server.running() as started:
            yield started
    except server.Missing as missing:
        pytest.skip(str(missing))


@pytest.fixture
def postgresql_database(postgresql: server.Postgresql) -> str:
    """The address of a catalogue to be."""
    return postgresql.fresh()
