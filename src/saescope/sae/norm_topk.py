"""TopK features chosen by what each would add: the k largest of pre times the length of the decoder row.

OpenMOSS (llamascopium, Llama Scope) with `sparsity_include_decoder_norm`: the norm decides which features win, and is
not in their values.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from .active import Active, largest
from .base import Sae


class NormTopK(Sae):
    """f = relu(pre) on the k features of each row with the largest pre * |W_dec row|, else 0."""

    kind = "normtopk"

    def _activation(self, pre: Float[Tensor, "*batch d_sae"]) -> Float[Tensor, "*batch d_sae"]:
        flat = pre.reshape(-1, self.d_sae)
        _, indices = largest(flat * self._norms(), self.cfg.k or 0)
        return torch.zeros_like(flat).scatter_(1, indices, torch.relu(flat.gather(1, indices))).view(pre.shape)

    def _sparse(self, pre: Float[Tensor, "rows d_sae"]) -> Active:
        _, indices = largest(pre * self._norms(), self.cfg.k or 0)
        values = pre.gather(1, indices)
        rows, places = (values > 0).nonzero(as_tuple=True)
        return Active(rows, indices[rows, places], values[rows, places])

    def _norms(self) -> Float[Tensor, "d_sae"]:
        return self.W_dec.norm(dim=1)
