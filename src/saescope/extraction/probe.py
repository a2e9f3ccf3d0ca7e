"""Does this SAE fit its hookpoint? Asked on a few samples before a long pass."""

import torch
from jaxtyping import Float
from torch import Tensor

from ..records import Probe
from ..sae.base import Sae
from ..sae.metrics import Reconstruction


@torch.no_grad()
def probe(sae: Sae, x: Float[Tensor, "batch d_in"]) -> Probe:
    """Fraction of variance unexplained, L0 and norm ratio of an SAE on activations of valid tokens."""
    reconstruction = Reconstruction()
    for part in x.float().split(512):
        reconstruction.update(part, sae(part), len(sae.active(part).rows))
    return reconstruction.probe()
