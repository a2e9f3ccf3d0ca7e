"""Short questions that the worker answers: fire a text, steer a prompt token by token, estimate an extraction."""

import contextlib
import time
from collections.abc import AsyncGenerator, Iterator
from heapq import nlargest
from typing import Annotated, Any

import anyio.to_thread
from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.responses import Response

from .. import interactive
from ..errors import StudioError, WrongRequest
from ..requests import spec_class
from ..specs import FireLongText, ShowPrompt, SteerText, TrainSaes
from .answers import event, events, in_thread, json
from .jobs import Asked
from .site import Site, TheSite

router = APIRouter(tags=["ask"])
_ALL = 1 << 20
"""More features than are active on any text."""
_RUNS = ("original", "steered")
_PER_TOKEN = 32
"""Features kept for each token: the strongest."""
_LONGEST = 2048
"""Tokens of a text that are read."""
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
    spec = FireLongText(extraction=body.extraction, text=body.text, limit=_ALL, longest=_LONGEST)
    found = answer(interactive.ask(site.home, "fire_long_text", spec.model_dump(mode="json"), _SECONDS))
    fired = found["features"]
    shown = _chosen(fired, len(found["tokens"]), body.features)
    order = browse.order()  # every feature, by index
    about = {row["index"]: row for row in browse.rows(order[[each["index"] for each in shown]])} if shown else {}
    answered = []
    for each in shown:
        row = about[each["index"]]
        answered.append(
            {name: row[name] for name in ("index", "label", "label_source", "density", "max", "peaks_on")}
            | {"positions": each["positions"], "values": each["values"]}
        )
    return json(
        {
            "tokens": found["tokens"],
            "token_ids": found["token_ids"],
            "special": found["special"],
            "features": answered,
            "active": len(fired),
            "truncated_to": found["truncated_to"],
            "milliseconds": round(1e3 * (time.perf_counter() - begun)),
        }
    )


def _chosen(fired: list[dict[str, Any]], tokens: int, wanted: list[int] | None) -> list[dict[str, Any]]:
    """The features asked for, or the strongest of each token."""
    if wanted is not None:
        named = set(wanted)
        return [each for each in fired if each["index"] in named]
    active: list[list[tuple[float, int]]] = [[] for _ in range(tokens)]
    for each in fired:
        for place, value in zip(each["positions"], each["values"], strict=True):
            active[place].append((value, each["index"]))
    kept = {index for there in active for _, index in nlargest(_PER_TOKEN, there)}
    return [each for each in fired if each["index"] in kept]


@router.post("/steer")
async def steer(body: dict[str, Any], site: TheSite) -> Response:
    """Continue a prompt with and without edits, as it is generated; closing the connection stops it."""
    spec = SteerText(**body).model_dump(mode="json")

    async def stream() -> AsyncGenerator[bytes]:
        source = interactive.ask(site.home, "steer_text", spec, _SECONDS)
        async with contextlib.aclosing(in_thread(source, site.waiting)) as messages:
            async for message in messages:
                if "token" in message:
                    yield event("token", message["token"])
                elif "result" in message:
                    result = message["result"]
                    texts = {run: {"text": result[run], "logprobs": result.get(f"{run}_logprobs", [])} for run in _RUNS}
                    yield event("done", texts)
                elif "error" in message:
                    yield event("error", {"error": message["error"]})

    return events(stream())


@router.post("/prompt")
async def prompt(body: ShowPrompt, site: TheSite) -> Response:
    """What an LLM would be asked for a feature's label; nothing is asked."""
    return json(await asked(site, "show_prompt", body.model_dump(mode="json")))


@router.post("/estimate")
async def estimate(body: Asked, site: TheSite) -> Response:
    """What an extraction, a training or labelling would take: time, memory, disk; what an LLM would cost."""
    kind = spec_class(body.verb)
    fields = dict(body.spec)
    if kind is TrainSaes and isinstance(fields.get("saes"), list):
        fields["saes"] = [each | {"estimate": True} if isinstance(each, dict) else each for each in fields["saes"]]
    elif "estimate" in kind.model_fields:
        fields["estimate"] = True
    else:
        raise WrongRequest(f"{body.verb} has no estimate", "ask for that of an extraction, a training or labelling")
    return json(await asked(site, body.verb, kind(**fields).model_dump(mode="json")))


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
