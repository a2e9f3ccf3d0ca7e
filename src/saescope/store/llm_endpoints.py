"""LLM servers by name. Their keys are not here: `llm/keys.py` keeps them."""

from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy import exc

from ..errors import BadValue, NameTaken, NotFound
from ..home import Home, new_id
from ..llm import keys
from ..llm.endpoints import checked_url
from ..records import Endpoint
from ..specs import checked_name
from . import schema
from .database import Database

_t = schema.llm_endpoints
LONGEST_MODEL = 300


def add_endpoint(
    db: Database,
    home: Home,
    name: str,
    url: str,
    model: str,
    *,
    place: keys.Place = "none",
    secret: str = "",
    price_in: float | None = None,
    price_out: float | None = None,
) -> Endpoint:
    """Add a server; its key (or the name of the variable that holds it) is kept where `place` says, and first.

    Raises NameTaken or BadValue; then neither the key nor the row is left.
    """
    model = model.strip()
    if not 1 <= len(model) <= LONGEST_MODEL or not model.isprintable():
        raise BadValue("model: this is no name of one", "see `saescope llm test`, or the server's documents")
    if (price_in is None) != (price_out is None):
        raise BadValue("one price is missing", "give --price-in and --price-out, for a million tokens each")
    if not all(0 <= (price or 0.0) <= 1e6 for price in (price_in, price_out)):
        raise BadValue("prices: below 0 or above a million", "give money for a million tokens")
    created = datetime.now(UTC).isoformat(timespec="seconds")
    record = Endpoint(new_id(), checked_name(name), checked_url(url), model, place, price_in, price_out, created)
    keys.keep_key(home, record, place, secret)
    try:
        with db.writing() as connection:
            connection.execute(_t.insert().values(**record.to_json()))
    except exc.IntegrityError:
        keys.forget_key(home, record)
        raise NameTaken(
            f"there is an LLM endpoint {name!r} already", "choose another name, or remove that one"
        ) from None
    except BaseException:
        keys.forget_key(home, record)
        raise
    return record


def endpoint(db: Database, name: str) -> Endpoint:
    """The server of that name; NotFound otherwise."""
    with db.reading() as connection:
        row = connection.execute(sa.select(_t).where(_t.c.name == name)).mappings().one_or_none()
    if row is None:
        known = ", ".join(each.name for each in endpoints(db)) or "none yet: `saescope llm add`"
        raise NotFound(f"there is no LLM endpoint {name[:100]!r}", f"there are: {known}")
    return Endpoint(**dict(row))


def endpoints(db: Database) -> list[Endpoint]:
    """Every server, oldest first."""
    with db.reading() as connection:
        return [Endpoint(**dict(row)) for row in connection.execute(sa.select(_t).order_by(_t.c.id)).mappings()]


def remove_endpoint(db: Database, home: Home, name: str) -> Endpoint:
    """Remove a server and its key; what was paid to it stays in the ledger."""
    record = endpoint(db, name)
    with db.writing() as connection:
        connection.execute(_t.delete().where(_t.c.id == record.id))
    keys.forget_key(home, record)
    return record
