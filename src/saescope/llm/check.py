"""Does a server answer, in JSON, and how fast? One short question through the queue: it stands in the ledger."""

import json
import time
from typing import Any

from ..records import Endpoint
from .budget import NANO
from .client import Question
from .ledger import CHECK, Ledger
from .queue import Queue, unreachable

_SCHEMA = {
    "type": "object",
    "properties": {"answers": {"type": "array", "items": {"type": "integer"}}},
    "required": ["answers"],
    "additionalProperties": False,
}
_QUESTION = Question(
    'Answer with JSON only: {"answers": [numbers]}',
    'Write the numbers 1 and 0 in this order: {"answers": [1, 0]}',
    json.dumps(_SCHEMA),
    60,
)


def check_endpoint(endpoint: Endpoint, key: str | None, ledger: Ledger, seconds: float = 60.0) -> dict[str, Any]:
    """Whether its answer was JSON, what it said, seconds, tokens and money. Raises why there is no answer."""
    began = time.perf_counter()
    with Queue(endpoint, key, ledger, CHECK, concurrency=1, seconds=seconds, fresh=True, tries=2) as queue:
        [answer] = queue.ask([_QUESTION], [_numbers])
        spend = queue.totals.spend
    if answer.text is None and answer.raw is None:
        raise unreachable(endpoint, answer.reason or "no answer")
    return {
        "name": endpoint.name,
        "url": endpoint.url,
        "model": endpoint.model,
        "seconds": round(time.perf_counter() - began, 3),
        "json": answer.text is not None,
        "said": (answer.text or answer.raw or "")[:300],
        "tokens_in": spend.tokens_in,
        "tokens_out": spend.tokens_out,
        "cost": None if endpoint.price_in is None else spend.nano / NANO,
    }


def _numbers(answer: str) -> bool:
    """Whether the answer holds the object that was asked for."""
    try:
        value = json.loads(answer[answer.find("{") : answer.rfind("}") + 1])
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and isinstance(value.get("answers"), list)
