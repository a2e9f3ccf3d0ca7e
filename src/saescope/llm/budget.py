"""What may be spent: the worst that a call can cost is put aside before it is made, and settled after it.

Money is counted in whole billionths of the price's currency, so that nothing is lost by rounding.
"""

import math
import re
from dataclasses import dataclass
from typing import Literal, NamedTuple

from ..errors import BadValue, WrongRequest
from ..records import Endpoint

Unit = Literal["money", "calls", "tokens"]
NANO = 1_000_000_000
OVERHEAD = 64
"""Tokens that a chat template may put around the two messages of a question."""
_AMOUNT = re.compile(r"\s*[$€]?\s*([0-9]+(?:\.[0-9]+)?)\s*([kKmM]?)\s*(calls?|tokens?)?\s*")


class Spend(NamedTuple):
    """Calls, tokens in and out, and money in billionths."""

    calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    nano: int = 0

    def plus(self, other: "Spend") -> "Spend":
        return Spend(*(a + b for a, b in zip(self, other, strict=True)))

    def minus(self, other: "Spend") -> "Spend":
        return Spend(*(a - b for a, b in zip(self, other, strict=True)))

    def in_unit(self, unit: Unit) -> int:
        if unit == "tokens":
            return self.tokens_in + self.tokens_out
        return self.calls if unit == "calls" else self.nano


class BudgetSpent(WrongRequest):
    """The next call could cost more than is left."""

    kind = "budget_spent"


@dataclass(frozen=True)
class Budget:
    """So much, and no more."""

    amount: int
    """Calls, tokens, or billionths of money."""
    unit: Unit
    text: str

    @classmethod
    def parse(cls, text: str) -> "Budget":
        """Read 2.50 (money), `800 calls` or `3M tokens`; BadValue otherwise."""
        found = _AMOUNT.fullmatch(text)
        if found is None:
            raise BadValue(f"budget: {text!r} cannot be read", "write 2.50 (money), '800 calls' or '3M tokens'")
        unit: Unit = "money" if not found[3] else "calls" if found[3].startswith("call") else "tokens"
        factor = {"": 1, "k": 1000, "m": 1_000_000}[found[2].lower()] * (NANO if unit == "money" else 1)
        return cls(math.floor(float(found[1]) * factor + 1e-6), unit, text.strip())


def cost(endpoint: Endpoint, tokens_in: int, tokens_out: int) -> int:
    """Billionths of money that so many tokens cost, rounded up; 0 where no prices are known."""
    money = tokens_in * (endpoint.price_in or 0.0) + tokens_out * (endpoint.price_out or 0.0)
    return math.ceil(money * NANO / 1_000_000 - 1e-6)


def worst(endpoint: Endpoint, texts: tuple[str, ...], max_tokens: int, overhead: int = OVERHEAD) -> Spend:
    """The most that a call can cost: no token is less than a byte of what is asked, and no answer is longer."""
    tokens_in = sum(len(text.encode("utf-8", "replace")) for text in texts) + overhead
    return Spend(1, tokens_in, max_tokens, cost(endpoint, tokens_in, max_tokens))


class Purse:
    """One budget, and what was spent of it. Not for several threads."""

    def __init__(self, budget: Budget | None, spent: Spend) -> None:
        self.budget, self.spent = budget, spent
        self.aside = Spend()
        """Put aside for calls under way."""

    def fits(self, call: Spend) -> bool:
        """Whether a call can be made now, whatever it and those under way will cost."""
        if self.budget is None:
            return True
        unit = self.budget.unit
        return sum(each.in_unit(unit) for each in (self.spent, self.aside, call)) <= self.budget.amount

    def reserve(self, call: Spend) -> None:
        self.aside = self.aside.plus(call)

    def settle(self, call: Spend, real: Spend) -> None:
        """What was put aside is spent as it really came."""
        self.aside = self.aside.minus(call)
        self.spent = self.spent.plus(real)
