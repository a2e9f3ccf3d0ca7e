"""AbsTopK features: the k pre-activations of a row that are largest in magnitude, with their sign.

SAELens, architecture `abstopk`. A feature may be negative, which nothing else here can be: what counts
activations above 0 (extraction) takes `split_signs` of it.
"""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from .active import Active, largest
from .base import Sae
from .topk import TopK


class AbsTopK(Sae):
    """f = pre on the k largest of each row by magnitude, else 0."""

    kind = "abstopk"
    signed = True

    def _activation(self, pre: Float[Tensor, "*batch d_sae"]) -> Float[Tensor, "*batch d_sae"]:
        flat = pre.reshape(-1, self.d_sae)
        _, indices = largest(flat.abs(), self.cfg.k or 0)
        return torch.zeros_like(flat).scatter_(1, indices, flat.gather(1, indices)).view(pre.shape)

    def _sparse(self, pre: Float[Tensor, "rows d_sae"]) -> Active:
        _, indices = largest(pre.abs(), self.cfg.k or 0)
        values = pre.gather(1, indices)
        rows, places = (values != 0).nonzero(as_tuple=True)
        return Active(rows, indices[rows, places], values[rows, places])

    @property
    def _screens(self) -> bool:
        return False


def split_signs(sae: AbsTopK) -> TopK:
    """The same SAE with twice the features, none of them negative: i is the positive side of feature i, and
    d_sae + i its negative side, whose decoder row points the other way.

    Exact: the k largest of pre and -pre together are the k largest magnitudes, and relu drops the other sign.
    """
    weights = sae.weights
    sides = {
        "W_enc": torch.cat([weights["W_enc"], -weights["W_enc"]], dim=1),
        "b_enc": torch.cat([weights["b_enc"], -weights["b_enc"]]),
        "W_dec": torch.cat([weights["W_dec"], -weights["W_dec"]]),
    }
    split = {"split_signs_of": sae.d_sae}
    cfg = replace(sae.cfg, kind="topk", d_sae=2 * sae.d_sae, metadata={**sae.cfg.metadata, **split}, origin={})
    return TopK(cfg, weights | sides)
