"""Short questions that the worker answers: fire a text, steer a prompt token by token, estimate an extraction."""

import time
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.responses import Response

from .. import interactive
from ..errors import StudioError, WrongRequest
from ..requests import spec_class
from ..specs import FireText, ShowPrompt, SteerText
from .answers import event, events, in_thread, json
from .jobs import Asked
from .site import Site, TheSite

router = APIRouter(tags=["ask"])
_ALL = 1 << 20
"""More features than are active on any text."""
_PER_TOKEN = 32
"""Features kept for each token: the strongest."""
_SECONDS = 600.0


class Fire(BaseModel):
    """A text to fire at an extraction's features."""

    extraction: str
    text: str = Field(min_length=1, max_length=100_000)
    features: list[Annotated[int, Field(ge=0)]] | None = None
    """Only these, silent ones left out."""


@router.post("/fire")
async def fire(body: Fire, site: TheSite) -> Response:
    """Which features are active on a text, and where."""
    return await anyio.to_thread.run_sync(_fired, body, site, limiter=site.waiting)


def _fired(body: Fire, site: Site) -> Response:
    begun = time.perf_counter()
    _, browse = site.browse(body.extraction)
    spec = FireText(extraction=body.extraction, text=body.text, limit=_ALL)
    found = answer(interactive.ask(site.home, "fire_text", spec.model_dump(mode="json"), _SECONDS))
    fired = found["features"]
    shown = _chosen(fired, len(found["tokens"]), body.features)
    order = browse.order()  # every feature, by index
    about = {row["index"]: row for row in browse.rows(order[[each["index"] for each in shown]])} if shown else {}
    answered = []
    for each in shown:
        row = about[each["index"]]
        active = [(place, value) for place, value in enumerate(each["activations"]) if value > 0]
        answered.append(
            {name: row[name] for name in ("index", "label", "label_source", "density", "max", "peaks_on")}
            | {"positions": [place for place, _ in active], "values": [value for _, value in active]}
        )
    special = found.get("special") or [place == 0 for place in range(len(found["tokens"]))]
    return json(
        {
            "tokens": found["tokens"],
            "token_ids": found["token_ids"],
            "special": special,
            "features": answered,
            "active": len(fired),
            "truncated_to": found.get("truncated_to"),
            "milliseconds": round(1e3 * (time.perf_counter() - begun)),
        }
    )


def _chosen(fired: list[dict[str, Any]], tokens: int, wanted: list[int] | None) -> list[dict[str, Any]]:
    """The features asked for, or the strongest of each token."""
    if wanted is not None:
        named = set(wanted)
        return [each for each in fired if each["index"] in named]
    kept: set[int] = set()
    for place in range(tokens):
        active = [(each["activations"][place], each["index"]) for each in fired if each["activations"][place] > 0]
        kept.update(index for _, index in sorted(active, reverse=True)[:_PER_TOKEN])
    return [each for each in fired if each["index"] in kept]


@router.post("/steer")
async def steer(body: dict[str, Any], site: TheSite) -> Response:
    """Continue a prompt with and without edits, as it is generated; closing the connection stops it."""
    spec = SteerText(**body).model_dump(mode="json")

    async def stream() -> AsyncIterator[bytes]:
        try:
            async for message in in_thread(interactive.ask(site.home, "steer_text", spec, _SECONDS), site.waiting):
                if "token" in message:
                    yield event("token", message["token"])
                elif "result" in message:
                    yield event("done", {run: {"text": message["result"][run]} for run in ("original", "steered")})
                elif "error" in message:
                    yield event("error", {"error": message["error"]})
        except StudioError as problem:
            yield event("error", problem.to_json())

    return events(stream())


@router.post("/prompt")
async def prompt(body: ShowPrompt, site: TheSite) -> Response:
    """What an LLM would be asked for a feature's label; nothing is asked."""
    return json(await asked(site, "show_prompt", body.model_dump(mode="json")))


@router.post("/estimate")
async def estimate(body: Asked, site: TheSite) -> Response:
    """What a training or an extraction would take: time, memory, disk; labelling by an LLM: calls, tokens, money."""
    kind = spec_class(body.verb)
    if "estimate" not in kind.model_fields:
        raise WrongRequest(f"{body.verb} has no estimate", "train_sae, extract_features and label_features have one")
    fields: dict[str, Any] = {**body.spec, "estimate": True}
    spec = kind(**fields)
    return json(await asked(site, body.verb, spec.model_dump(mode="json")))


async def asked(site: Site, verb: str, spec: dict[str, Any]) -> dict[str, Any]:
    """What the worker answers, waited for where nobody else has to wait."""
    return await anyio.to_thread.run_sync(
        lambda: answer(interactive.ask(site.home, verb, spec, _SECONDS)), limiter=site.waiting
    )


class _Answered(StudioError):
    """What the worker says went wrong."""

    def __init__(self, said: dict[str, str]) -> None:
        super().__init__(said["message"], said.get("hint", ""))
        self.kind = said["kind"]


def answer(messages: Iterator[dict[str, Any]]) -> dict[str, Any]:
    """The last message's result; raises what it says went wrong."""
    for message in messages:
        if "error" in message:
            raise _Answered(message["error"])
        if "result" in message:
            return message["result"]
    raise _Answered({"kind": "unreachable", "message": "the worker hung up", "hint": "ask again"})
