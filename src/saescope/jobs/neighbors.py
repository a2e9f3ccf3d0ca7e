"""The nearest features of the one looked at, for SAEs too large to have worked out everyone's beforehand.

One pass over the decoder where it lies on the disk; loads no torch.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import BrokenHome
from ..extraction.neighbors import nearest
from ..home import Home
from ..records import SaeInfo
from ..specs import FindNeighbors
from ..store import catalogue
from ..store.labels import current_labels

if TYPE_CHECKING:
    from .context import Context

NORMS = "norms.npy"
"""In an SAE's facts: the norms of its decoder's rows, where its features' neighbours are left out."""
_WEIGHTS = "sae_weights.safetensors"


def run(spec: FindNeighbors, context: "Context") -> dict[str, Any]:
    """The neighbours of one feature with their labels."""
    from .context import check_feature

    extraction = catalogue.extraction(context.db, spec.extraction)
    check_feature(spec.feature, extraction.features)
    near = neighbors_of(context.home, catalogue.sae(context.db, extraction.sae), spec.feature)
    labels = current_labels(context.db, extraction.id, near["neighbor_ids"])
    return {
        "neighbors": [
            {"index": other, "cosine": cosine, "label": labels[other].text if other in labels else None}
            for other, cosine in zip(near["neighbor_ids"], near["neighbor_cosines"], strict=True)
        ]
    }


def neighbors_of(home: Home, sae: SaeInfo, feature: int) -> dict[str, Any]:
    """`neighbor_ids` and `neighbor_cosines`, as the table of features has them for smaller SAEs."""
    norms = home.artifact("facts", sae.id) / NORMS
    if not norms.exists():
        return {"neighbor_ids": [], "neighbor_cosines": []}
    try:
        decoder = _mapped(home.artifact("saes", sae.id) / _WEIGHTS, "W_dec")
        ids, cosines = nearest(decoder, np.load(norms, mmap_mode="r", allow_pickle=False), feature)
    except (OSError, ValueError, KeyError) as error:
        raise BrokenHome(f"the files of SAE {sae.name!r} are damaged or gone", f"add {sae.name!r} again") from error
    return {"neighbor_ids": ids.tolist(), "neighbor_cosines": cosines.tolist()}


def _mapped(file: Path, name: str) -> np.ndarray:
    """A float32 tensor of a safetensors file as it lies on the disk; ValueError where it is of another type."""
    with open(file, "rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        tensor = json.loads(opened.read(length))[name]
    if tensor["dtype"] != "F32":
        raise ValueError(f"{name} is {tensor['dtype']}")
    return np.memmap(file, np.float32, "r", 8 + length + tensor["data_offsets"][0], tuple(tensor["shape"]))
