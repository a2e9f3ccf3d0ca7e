"""The ledger of calls to LLM servers, and the answers kept. An answer and what it cost go in together.

What was paid is paid: no write here asks whether its job still is its own.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from ..llm.budget import Spend
from ..llm.ledger import CHECK, Call
from . import schema
from .database import Database
from .text import storable

_t = schema.llm_calls
_CHARGED = ("calls", "in", "out", "nano")
_KEYS = 500


class Ledger:
    """The ledger of a catalogue."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def write(self, begun: Sequence[Call], ended: Sequence[Call]) -> None:
        """Write calls that begin and calls that have ended, with the answers of these, in one transaction."""
        over = {call.id: call for call in ended}
        new = [over.pop(call.id, call) for call in begun]
        answers = {call.key: call for call in ended if call.answer is not None}
        with self._db.writing() as connection:
            if new:
                connection.execute(_t.insert(), [_row(call) for call in new])
            for call in over.values():
                connection.execute(_t.update().where(_t.c.id == call.id).values(**_row(call)))
            if answers:
                table = schema.llm_answers
                connection.execute(table.delete().where(table.c.key.in_(list(answers))))
                rows = [
                    {"key": key, "text": storable(call.answer or ""), "call_id": call.id}
                    for key, call in answers.items()
                ]
                connection.execute(table.insert(), rows)

    def answers(self, keys: Sequence[str]) -> dict[str, str]:
        """The answers kept, by key."""
        table, found = schema.llm_answers, {}
        with self._db.reading() as connection:
            for start in range(0, len(keys), _KEYS):
                query = sa.select(table.c.key, table.c.text).where(table.c.key.in_(keys[start : start + _KEYS]))
                found |= {row.key: row.text for row in connection.execute(query)}
        return found

    def spent(self, scope: str) -> Spend:
        """All that was, or may have been, spent for a request."""
        sums = [sa.func.coalesce(sa.func.sum(_t.c[f"charged_{name}"]), 0) for name in _CHARGED]
        with self._db.reading() as connection:
            return Spend(
                *(int(value) for value in connection.execute(sa.select(*sums).where(_t.c.scope == scope)).one())
            )

    def density(self, url: str, model: str) -> float | None:
        """Tokens for each byte that was asked of a model, as its answers so far say; None before the first."""
        sums = sa.select(sa.func.sum(_t.c.charged_in), sa.func.sum(_t.c.worst_in))
        answered = sums.where(
            _t.c.url == url, _t.c.model == model, _t.c.scope != CHECK, _t.c.state.in_(("answered", "unreadable"))
        )
        with self._db.reading() as connection:
            tokens, most = connection.execute(answered).one()
        return None if not most else float(tokens) / float(most)


def ledger(db: Database) -> list[dict[str, Any]]:
    """Spending by server and model: calls by how they ended, tokens and money (billionths)."""
    sums = [sa.func.sum(_t.c[f"charged_{name}"]).label(name) for name in _CHARGED]
    query = sa.select(_t.c.url, _t.c.model, _t.c.state, sa.func.count().label("lines"), *sums)
    found: dict[tuple[str, str], dict[str, Any]] = {}
    with db.reading() as connection:
        for row in connection.execute(query.group_by(_t.c.url, _t.c.model, _t.c.state)).mappings():
            empty = {"url": row["url"], "model": row["model"], "states": {}, "tokens_in": 0, "tokens_out": 0, "nano": 0}
            one = found.setdefault((row["url"], row["model"]), empty)
            one["states"][row["state"]] = row["lines"]
            one["tokens_in"] += int(row["in"])
            one["tokens_out"] += int(row["out"])
            one["nano"] += int(row["nano"])
    return list(found.values())


def _row(call: Call) -> dict[str, Any]:
    fields = ("id", "key", "scope", "url", "model", "state", "status", "worst_in", "seconds")
    texts = {name: None if (text := getattr(call, name)) is None else storable(text) for name in ("reason", "raw")}
    charged = {f"charged_{name}": value for name, value in zip(_CHARGED, call.charged, strict=True)}
    return {name: getattr(call, name) for name in fields} | texts | charged
