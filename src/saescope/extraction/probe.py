"""Does this SAE fit its hookpoint? Asked on a few samples before a long pass."""

from jaxtyping import Float
from torch import Tensor

from ..records import Probe
from ..sae.base import Sae
from ..sae.fit import measure


def probe(sae: Sae, x: Float[Tensor, "batch d_in"], y: Float[Tensor, "batch d_out"] | None = None) -> Probe:
    """Fraction of variance unexplained, L0 and norm ratio of an SAE on activations of valid tokens.

    y: what a transcoder should write; x itself by default.
    """
    return measure(sae, x, y)
