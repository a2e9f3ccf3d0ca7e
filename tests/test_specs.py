"""Numbers that no run can use are refused before anything is loaded."""

from typing import Any

import pytest

import saescope
from saescope.errors import BadValue

EDIT = saescope.Edit(feature=1, mode="ablate")


@pytest.mark.parametrize(
    ("spec", "fields"),
    [
        (saescope.ExtractFeatures, {"saes": ("s",), "dataset": "d", "seed": 2**63}),
        (saescope.ExtractFeatures, {"saes": ("s",), "dataset": "d", "top_k": 2**63}),
        (saescope.ExtractFeatures, {"saes": ("s",), "dataset": "d", "vectorization_batch_size": "²"}),
        (saescope.TrainSae, {"model": "m", "dataset": "d", "hookpoint": "embed", "seed": 10**30}),
        (saescope.TrainSae, {"model": "m", "dataset": "d", "hookpoint": "embed", "d_sae": 10**30}),
        (saescope.SteerText, {"sae": "s", "prompt": "p", "edits": (EDIT,), "seed": 2**64}),
    ],
)
def test_a_number_that_torch_cannot_hold_is_refused(spec: Any, fields: dict[str, Any]) -> None:
    with pytest.raises(BadValue):
        spec(**fields)
