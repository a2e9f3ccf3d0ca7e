"""p-annealing: an L_p penalty whose p falls from 1. Karvonen et al. 2024, "Measuring Progress in Dictionary Learning
for Language Model Interpretability with Board Game Models", section 4.1."""

from typing import Any

from .base import Batch, Objective, Outcome, Terms, Weights, decoded, encoded, positive, squared_error

_FIRST = 1.0
_SMALLEST = 1e-6
"""Activations below this count as this in the penalty, whose slope is infinite at 0."""


class PAnneal(Objective):
    """mean ||e||^2 + coefficient * mean sum_i f_i^p, decoder rows of norm 1.

    p is 1 until `anneal_from` of the run and then falls in a line to `p_end`. With each change of p the coefficient is
    multiplied with what keeps the penalty of the last batch as large as it was (eq. 5).
    """

    kind = "p_anneal"
    form = "relu"

    def loss(self, weights: Weights, batch: Batch, terms: Terms) -> Outcome:
        chosen, values = encoded(weights, batch, positive(weights, batch))
        y_hat = decoded(weights, batch, values, chosen)
        p = self.p(terms.step)
        powers = values if p == 1 else values.clamp(min=_SMALLEST) ** p
        coefficient = self.spec.l1 * self.facts.get("factor", 1.0) * terms.sparsity
        loss = squared_error(batch.y, y_hat) + coefficient * powers.sum() / len(batch)
        return Outcome(loss, y_hat, chosen, values.detach())

    def p(self, step: int) -> float:
        begin = self.spec.anneal_from * self.total_steps
        share = min(1.0, max(0.0, (step - begin) / max(1.0, self.total_steps - begin)))
        return _FIRST + share * (self.spec.p_end - _FIRST)

    def follow(self, outcome: Outcome, steps: int) -> None:
        now, then = self.p(steps - 1), self.p(steps)
        if now == then or not len(outcome.values):
            return
        values = outcome.values.clamp(min=_SMALLEST).double()
        self.facts["factor"] = self.facts.get("factor", 1.0) * float((values**now).sum() / (values**then).sum())

    def details(self) -> dict[str, Any]:
        return {"l1_coefficient": self.spec.l1, "p_end": self.spec.p_end, "anneal_from": self.spec.anneal_from}
