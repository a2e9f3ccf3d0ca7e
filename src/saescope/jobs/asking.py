"""An LLM server of the home as a `Model` that labels and judges: its key, its budget, its ledger. Loads no torch."""

import contextlib
import json
from collections.abc import Iterator, Sequence
from typing import Any

from ..errors import BadValue
from ..home import new_id
from ..labeling.judging import Failed
from ..labeling.prompts import Rendered
from ..llm.budget import NANO, Budget, Spend
from ..llm.client import Question
from ..llm.endpoints import checked_url
from ..llm.keys import read_key
from ..llm.queue import Queue
from ..records import Endpoint
from ..specs import LabelFeatures
from ..store.database import Database
from ..store.llm_calls import Ledger
from ..store.llm_endpoints import endpoint, endpoints
from .clock import now
from .context import Context


class Asking:
    """Answers questions by asking a server; known answers cost nothing."""

    def __init__(self, queue: Queue) -> None:
        self.name = queue.endpoint.model
        self.queue = queue
        self.at_once = queue.concurrency
        """Features worth working on at the same time."""

    def ask(self, questions: Sequence[Rendered]) -> list[str | Failed | None]:
        asked = [question_of(each) for each in questions]
        answers = self.queue.ask(asked, [each.accepts for each in questions])
        return [each.text if each.text is not None else Failed(each.reason or "", each.raw) for each in answers]

    def likelihoods(self, pairs: Sequence[tuple[str, str]]) -> list[float] | Failed:
        """The log-probability of each second text after the first one."""
        question = Question("", "", "", len(pairs), tuple(pairs))
        [answer] = self.queue.ask([question], [lambda text: len(json.loads(text)) == len(pairs)])
        return json.loads(answer.text) if answer.text is not None else Failed(answer.reason or "", answer.raw)

    def report(self) -> dict[str, Any]:
        """What was asked and spent: calls that were answered, and all that may have been charged."""
        totals, there = self.queue.totals, self.queue.endpoint
        return {
            "endpoint": there.name,
            "model": there.model,
            "calls": totals.calls,
            "tried": totals.tried,
            "cached": totals.cached,
            "unreadable": totals.unreadable,
            **spent_json(there, totals.spend),
        }


def question_of(rendered: Rendered) -> Question:
    """A filled prompt as a server is asked it."""
    return Question(rendered.system, rendered.user, json.dumps(rendered.schema), rendered.max_tokens)


def spent_json(there: Endpoint, spend: Spend) -> dict[str, Any]:
    """Tokens and money; no money where no prices are known."""
    return {
        "tokens_in": spend.tokens_in,
        "tokens_out": spend.tokens_out,
        "cost": None if there.price_in is None else spend.nano / NANO,
    }


def chosen_endpoint(db: Database, spec: LabelFeatures) -> Endpoint:
    """The server that a request names; BadValue where it names none and there is not exactly one."""
    if spec.llm_url is not None:
        url = checked_url(spec.llm_url)
        return Endpoint(new_id(), url, url, spec.llm_model or "", "none", None, None, now())
    if spec.llm is not None:
        return endpoint(db, spec.llm)
    known = endpoints(db)
    if len(known) == 1:
        return known[0]
    named = ", ".join(each.name for each in known)
    hint = (
        f"give --llm: {named}"
        if known
        else "saescope llm add NAME --url U --model M; or give --llm-url and --llm-model"
    )
    raise BadValue(f"explainer: {spec.explainer} needs an LLM, and {'several are' if known else 'none is'} known", hint)


def budget_of(spec: LabelFeatures, there: Endpoint) -> Budget | None:
    """What a request may cost; BadValue for money where no prices are known."""
    if spec.budget is None:
        return None
    budget = Budget.parse(spec.budget)
    if budget.unit == "money" and there.price_in is None:
        hint = (
            "give it in calls or tokens ('800 calls', '3M tokens'), or add the endpoint with --price-in and --price-out"
        )
        raise BadValue(f"budget: the prices of {there.name} are not known", hint)
    return budget


@contextlib.contextmanager
def asking(spec: LabelFeatures, context: Context, there: Endpoint, scope: str) -> Iterator[Asking]:
    """The server of a request, for the time of a block. The budget holds over all runs of the scope."""
    queue = Queue(
        there,
        read_key(context.home, there),
        Ledger(context.db),
        scope,
        budget=budget_of(spec, there),
        concurrency=spec.concurrency,
        seconds=spec.timeout,
        fresh=spec.again,
        stop=context.stop,
    )
    with queue:
        yield Asking(queue)
