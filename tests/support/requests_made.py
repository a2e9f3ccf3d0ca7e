"""Requests made from the API's description by schemathesis, asked of the app itself."""

import json
from collections import Counter
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from starlette.testclient import TestClient

from saescope.home import Home
from saescope.store import jobs, open_database
from saescope.web.app import create_app

from .served import TOKEN

THERE = {
    "/datasets/": "sotu",
    "/models/": "smol",
    "/saes/": "topk-64",
    "/trainings/": "topk-64",
    "/extractions/": "topk-64-sotu",
    "/specs/": "extract_features",
}
"""What the home has: half of the requests ask for these, so that more than 404 is met."""

NO_WORKER = 503
"""What is asked of the worker is answered so where none runs, with its reason: no fault."""


def fuzz(home: Home, requests: int, number: int) -> tuple[dict[str, Counter[int]], list[str]]:
    """Make about so many requests; (statuses of each operation, what ended in a fault)."""
    app = create_app(home, TOKEN)
    schema = schemathesis.openapi.from_dict(app.openapi())
    operations = sorted((one.ok() for one in schema.get_all_operations()), key=_removes)
    with open_database(home) as db:
        job = jobs.add(db, "label_features", "labels", {"extraction": "topk-64-sotu"}).id
        jobs.cancel(db, job)
    answers: dict[str, Counter[int]] = {one.label: Counter() for one in operations}
    faults: list[str] = []
    headers = {"Authorization": f"Bearer {TOKEN}"}
    client = TestClient(app, "http://127.0.0.1:8420", raise_server_exceptions=False, headers=headers)

    def ask(case: Any) -> None:
        seen = answers[case.operation.label]
        if seen.total() % 2:
            case.path_parameters = {**(case.path_parameters or {}), **_there(case, job, seen.total())}
        answer = client.request(case.method, **_words(case))
        seen[answer.status_code] += 1
        if answer.status_code >= 500 and not (answer.status_code == NO_WORKER and "error" in answer.json()):
            faults.append(f"{case.method} {answer.request.url} {answer.request.content[:300]!r}: {answer.text[:300]}")

    for operation in operations:
        made = settings(
            max_examples=max(1, -(-requests // len(operations))),
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        seed(number)(made(given(case=operation.as_strategy())(lambda case: ask(case))))()
    app.state.site.close()
    return answers, faults


def _removes(operation: Any) -> tuple[bool, str]:
    """What is removed is removed last; extractions before what they were made of."""
    return operation.method.upper() == "DELETE", operation.path


def _there(case: Any, job: str, number: int) -> dict[str, Any]:
    """Parts of a path that lead to something."""
    path = case.operation.path
    named: dict[str, Any] = {"index": number % 64}
    for before, name in THERE.items():
        if before in path:
            named |= dict.fromkeys(("name", "extraction", "verb"), name)
    if not path.endswith("/events"):  # a job that is resumed would have news without end
        named["id"] = job
    return {name: named[name] for name in case.path_parameters or {} if name in named}


def _words(case: Any) -> dict[str, Any]:
    """What schemathesis has made, for starlette's client."""
    made = case.as_transport_kwargs(base_url="http://127.0.0.1:8420")
    body = {"json": made["json"]} if made.get("json") is not None else {"content": _bytes(made.get("data"))}
    query = {name: value for name, value in (made.get("params") or {}).items() if value is not None}
    return {"url": made["url"], "params": query, **body}


def _bytes(data: Any) -> bytes:
    return data if isinstance(data, bytes) else b"" if data is None else json.dumps(data).encode()
