"""Calls as they are written down: what a queue tells whoever keeps them. Loads no HTTP."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from ..records import Record
from .budget import Spend

CHECK = "check"
"""The scope of a question that only tries a server."""

State = Literal["sent", "answered", "unreadable", "limited", "server", "timeout", "reset", "cut", "refused", "bad",
                "changed", "fatal"]  # fmt: skip


@dataclass(frozen=True)
class Call(Record):
    """One line of the ledger."""

    id: str
    key: str
    """Hash of what was asked, of whom, and how."""
    scope: str
    """The request that it was made for, whose budget pays."""
    url: str
    model: str
    state: State
    charged: Spend
    """While it is under way, and where nobody knows how it ended, the worst that it can have cost."""
    worst_in: int
    status: int | None = None
    seconds: float | None = None
    reason: str | None = None
    raw: str | None = None
    """An answer that could not be read."""
    answer: str | None = None
    """One that could: kept, and not asked for again."""


class Ledger(Protocol):
    """Where calls are written down. Called from several threads."""

    def write(self, begun: Sequence[Call], ended: Sequence[Call]) -> None:
        """All or none, in one transaction; the calls that ended have begun before, or begin here."""
        ...

    def answers(self, keys: Sequence[str]) -> dict[str, str]:
        """What is known already."""
        ...

    def spent(self, scope: str) -> Spend:
        """What was spent for a request."""
        ...
