"""Matryoshka BatchTopK. Bussmann, Nabeshima, Karvonen and Nanda 2025, "Learning Multi-Level Features with Matryoshka
Sparse Autoencoders", eq. 3 to 6: every prefix of the dictionary reconstructs by itself."""

from typing import Any

from ..sparse import Chosen, decode_at
from .auxk import with_auxk
from .base import Batch, Outcome, Terms, Weights, encoded, fvu
from .batchtopk import BatchTopK


class Matryoshka(BatchTopK):
    """The mean over prefixes of FVU of the reconstruction by a prefix + AuxK / 32.

    The features are BatchTopK's, chosen among all; the last prefix is the whole dictionary.
    """

    kind = "matryoshka"

    def loss(self, weights: Weights, batch: Batch, terms: Terms) -> Outcome:
        chosen, values = encoded(weights, batch, self.strongest(weights, batch))
        y_hat = weights.b_dec.expand(len(batch), -1)
        if weights.skip is not None:
            y_hat = y_hat + batch.z @ weights.skip.T
        ends, total, start = self.ends(), values.new_zeros(()), 0
        for end in ends:
            group = ((chosen.features >= start) & (chosen.features < end)).nonzero().squeeze(1)
            part = Chosen(chosen.rows[group], chosen.features[group], chosen.batch, chosen.d_sae)
            y_hat = y_hat + decode_at(values[group], weights.decoder, part)
            total = total + fvu(batch.y, y_hat)
            start = end
        loss = with_auxk(total / len(ends), weights, batch, y_hat, terms)
        return Outcome(loss, y_hat, chosen, values.detach())

    def ends(self) -> tuple[int, ...]:
        """Where prefixes end: those asked for, or 1/16, 1/8, 1/4, 1/2 and all of the dictionary."""
        d_sae = self.spec.d_sae
        asked = self.spec.prefixes or tuple(max(1, d_sae >> shift) for shift in (4, 3, 2, 1))
        return tuple(sorted({end for end in asked if end < d_sae} | {d_sae}))

    def details(self) -> dict[str, Any]:
        return {"k": self.spec.k, "matryoshka_widths": list(self.ends())}
