"""LLM servers: listed, added, tested, removed; what was spent. A key goes in and never comes out."""

from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter
from pydantic import BaseModel, Field, SecretStr
from starlette.responses import Response

from ..llm.keys import LONGEST, read_key
from ..store import llm_calls, llm_endpoints
from .answers import json
from .site import TheSite

router = APIRouter(prefix="/llm", tags=["llm"])

_SECONDS = 30.0
Price = Annotated[float | None, Field(ge=0, le=1e6)]


class NewEndpoint(BaseModel):
    """A server that speaks OpenAI's protocol."""

    name: str = Field(max_length=100)
    url: str = Field(max_length=2000)
    """The base address, such as https://api.openai.com/v1."""
    model: str = Field(max_length=llm_endpoints.LONGEST_MODEL)
    key: SecretStr | None = Field(default=None, max_length=LONGEST)
    """Kept in a file of the home that only its owner can read, and sent to this server alone."""
    price_in: Price = None
    price_out: Price = None
    """Money for a million tokens asked and answered."""


@router.get("")
def endpoints(site: TheSite) -> Response:
    """Every server, oldest first; of its key only where it is."""
    return json([record.to_json() for record in llm_endpoints.endpoints(site.db)])


@router.post("", status_code=201)
def add_endpoint(body: NewEndpoint, site: TheSite) -> Response:
    """Add a server."""
    key = None if body.key is None else body.key.get_secret_value()
    record = llm_endpoints.add_endpoint(
        site.writable,
        site.home,
        body.name,
        body.url,
        body.model,
        place="file" if key else "none",
        secret=key or "",
        price_in=body.price_in,
        price_out=body.price_out,
    )
    return json(record.to_json(), 201)


@router.get("/spending")
def spending(site: TheSite) -> Response:
    """What was asked and paid, by server and model: calls by how they ended, tokens, money in billionths."""
    return json(llm_calls.ledger(site.db))


@router.delete("/{name}", status_code=204)
def remove_endpoint(name: str, site: TheSite) -> Response:
    """Remove a server and its key; what was paid to it stays in the ledger."""
    llm_endpoints.remove_endpoint(site.writable, site.home, name)
    return Response(status_code=204)


@router.post("/{name}/test")
async def test_endpoint(name: str, site: TheSite) -> Response:
    """Ask one short question: whether it answers, in JSON, and how fast."""

    def checked() -> dict[str, Any]:
        from ..llm.check import check_endpoint  # loads the HTTP client, 8 MB

        found = llm_endpoints.endpoint(site.db, name)
        return check_endpoint(found, read_key(site.home, found), llm_calls.Ledger(site.writable), _SECONDS)

    return json(await anyio.to_thread.run_sync(checked, limiter=site.waiting))
