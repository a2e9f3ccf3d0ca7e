"""One queue for all calls: adaptive, patient, thrifty; and its ledger says what the server says."""

import json
import threading

import pytest

from saescope.errors import BadSource, BadValue, Interrupted, Unreachable, WrongRequest
from saescope.home import Home, new_id
from saescope.llm.budget import Budget, BudgetSpent
from saescope.llm.client import Question
from saescope.llm.queue import Queue
from saescope.records import Endpoint
from saescope.store import open_database
from saescope.store.llm_calls import Ledger, ledger
from support.llm_server import FAULTS, llm_server

KEY = "sk-canary-0123456789"


def readable(answer: str) -> bool:
    try:
        return "label" in json.loads(answer)
    except ValueError:
        return False


def question(number: int) -> Question:
    return Question("Describe it.", f"Number {number}: «word{number}» stands here.", '{"type": "object"}', 50)


def ask(queue: Queue, numbers):
    return queue.ask([question(number) for number in numbers], [readable] * len(numbers))


@pytest.fixture
def db(tmp_path, monkeypatch):
    monkeypatch.delenv("SAESCOPE_DATABASE_URL", raising=False)
    with open_database(Home(tmp_path / "home")) as database:
        yield database


@pytest.fixture
def opened(db):
    """Queues to a server, closed at the end."""
    queues = []

    def open_queue(server, key=KEY, price=2.0, scope="scope", budget=None, **how) -> Queue:
        there = Endpoint(new_id(), "there", server.url, "scripted", "none", price, price, "now")
        paid = None if budget is None else Budget.parse(budget)
        how = {"backoff": 0.01, "seconds": 1.5} | how
        queues.append(Queue(there, key, Ledger(db), scope, budget=paid, **how))
        return queues[-1]

    yield open_queue
    for queue in queues:
        queue.close()


def states(db) -> dict[str, int]:
    [one] = ledger(db)
    return one["states"]


def test_every_question_is_answered_and_the_ledger_is_what_the_server_counted(db, opened):
    with llm_server() as server:
        queue = opened(server)
        answers = ask(queue, range(40))
        assert [json.loads(answer.text)["label"] for answer in answers] == [f"the word word{n}" for n in range(40)]
        [one] = ledger(db)
        assert one["states"] == {"answered": 40} == dict(server.counts)
        assert (one["tokens_in"], one["tokens_out"]) == (server.tokens_in, server.tokens_out)
        assert one["nano"] == 2000 * (server.tokens_in + server.tokens_out)


def test_what_was_answered_is_not_asked_again(db, opened):
    with llm_server() as server:
        ask(opened(server), range(5))
        again = ask(opened(server), range(7))
        assert [answer.cached for answer in again] == [True] * 5 + [False] * 2
        assert server.counts["answered"] == 7
        ask(opened(server, fresh=True), range(2))
        assert server.counts["answered"] == 9


def test_every_fault_ends_in_an_answer_or_a_reason_and_the_ledger_knows_it(db, opened):
    with llm_server(faults=FAULTS, seed=3) as server:
        answers = ask(opened(server, seconds=1.5), range(80))
        assert all((answer.text is None) != (answer.reason is None) for answer in answers)
        assert sum(answer.text is not None for answer in answers) >= 64
        found, counts = states(db), server.counts
        assert found["limited"] == counts["limited"]
        assert found["server"] == counts["server"]
        late = found.get("timeout", 0) - counts["hang"]  # calls that a busy machine gave up before their answer
        assert late >= 0
        assert found.get("reset", 0) + found.get("cut", 0) == counts["reset"] + counts["cut"]
        assert 0 <= server.billed - found["answered"] - found["unreadable"] <= late
        assert counts.total() <= sum(found.values()) <= counts.total() + late
        assert server.billed <= 1.3 * 80 + late


def test_garbage_is_asked_for_once_more_and_then_kept_as_it_came(db, opened):
    with llm_server(answer=lambda system, user: "no") as server:
        [answer] = ask(opened(server), [1])
        assert (answer.text, answer.raw) == (None, "no")
        assert [("could not be read" in body["messages"][1]["content"]) for body in server.bodies] == [False, True]
        assert states(db) == {"unreadable": 2}


@pytest.mark.parametrize("budget", ["7 calls", "3k tokens", "0.004"])
def test_a_budget_is_never_exceeded_whatever_goes_wrong(db, opened, budget):
    with llm_server(faults=FAULTS, seed=5) as server:
        for _ in range(3):
            with pytest.raises(BudgetSpent):
                ask(opened(server, budget=budget), range(200))
        spent, limit = Ledger(db).spent("scope"), Budget.parse(budget)
        assert spent.in_unit(limit.unit) <= limit.amount
        assert server.billed <= spent.calls
        assert server.tokens_in + server.tokens_out <= spent.tokens_in + spent.tokens_out
        assert spent.in_unit(limit.unit) > 0.3 * limit.amount


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, {"message": f"wrong key {KEY}"}),
        (402, {"message": "pay"}),
        (403, {}),
        (429, {"code": "insufficient_quota", "message": "you exceeded your current quota"}),
        (404, {"message": "no such model"}),
        (307, {}),
    ],
)
def test_a_refusal_that_no_wait_helps_ends_everything_at_once(opened, status, said):
    with llm_server(always=(status, said)) as server:
        with pytest.raises((WrongRequest, BadSource)) as caught:
            ask(opened(server), range(100))
        assert server.counts.total() <= 4
        assert KEY not in str(caught.value)
        assert said.get("message", "").replace(KEY, "***") in str(caught.value)


def test_a_server_that_is_not_there_is_given_up(opened):
    with llm_server() as server:
        pass
    with pytest.raises(Unreachable, match="no connection"):
        ask(opened(server), range(50))


def test_a_server_that_only_fails_is_given_up(opened):
    with llm_server(always=(500, {"message": "oops"})) as server:
        with pytest.raises(Unreachable, match="oops"):
            ask(opened(server), range(50))
        assert server.counts.total() < 100


def test_retry_after_is_honoured_by_every_call(opened):
    with llm_server(faults={"limited": 1.0}, wait="700") as server:
        stop = threading.Event()
        queue = opened(server, stop=stop, concurrency=2)
        threading.Timer(1.0, stop.set).start()
        with pytest.raises(Interrupted):
            ask(queue, range(10))
        first = [at for at in server.times if at < server.times[0] + 0.6]
        assert len(first) <= 2
        assert not [at for at in server.times if 0.3 < at - server.times[0] < 0.69]


def test_a_wait_that_is_too_long_ends_the_request(opened):
    with llm_server(faults={"limited": 1.0}, wait="3600000") as server:
        with pytest.raises(Unreachable, match="left alone"):
            ask(opened(server), range(10))
        assert server.counts.total() <= 4


def test_calls_at_once_grow_while_all_goes_well_and_shrink_when_it_is_too_much(opened):
    with llm_server(delay=0.01) as server:
        ask(opened(server, concurrency=12), range(150))
        assert 5 < server.peak <= 12
    with llm_server(faults={"limited": 0.5}, delay=0.01) as server:
        ask(opened(server, concurrency=12), range(1000, 1060))
        assert server.peak <= 5


@pytest.mark.parametrize("refuses", [("response_format",), ("max_tokens",), ("temperature",)])
def test_what_a_server_does_not_take_is_left_out(db, opened, refuses):
    with llm_server(refuses=refuses) as server:
        assert all(answer.text for answer in ask(opened(server), range(20)))
        assert server.counts["answered"] == 20
        assert states(db).get("changed", 0) == server.counts["refused"] <= 8


def test_a_stop_ends_calls_that_hang(opened):
    with llm_server(faults={"hang": 1.0}) as server:
        stop = threading.Event()
        queue = opened(server, stop=stop, seconds=60)
        threading.Timer(0.3, stop.set).start()
        with pytest.raises(Interrupted):
            ask(queue, range(8))
        assert server.counts["hang"] <= 4


def test_the_key_goes_to_its_server_in_a_header_and_is_never_repeated(db, opened):
    with llm_server(answer=lambda system, user: json.dumps({"label": f"your key is {KEY}"})) as server:
        [answer] = ask(opened(server), [1])
        assert server.headers[0]["authorization"] == f"Bearer {KEY}"
        assert KEY not in answer.text
        assert KEY not in json.dumps(server.bodies)


def test_a_slow_drip_ends_when_the_time_is_over(db, opened):
    with llm_server(faults={"drip": 1.0}, answer=lambda system, user: json.dumps({"label": "x" * 9000})) as server:
        [answer] = ask(opened(server, tries=2, seconds=0.3), [1])
        assert "no answer within" in answer.reason
        assert states(db) == {"timeout": 2}
        assert server.counts["drip"] == 2


@pytest.mark.parametrize(
    ("text", "amount", "unit"),
    [
        ("2.50", 2_500_000_000, "money"),
        ("$1", 10**9, "money"),
        ("800 calls", 800, "calls"),
        ("3M tokens", 3_000_000, "tokens"),
    ],
)
def test_budgets_are_read(text, amount, unit):
    assert (Budget.parse(text).amount, Budget.parse(text).unit) == (amount, unit)


@pytest.mark.parametrize("text", ["", "much", "-1", "5 apples", "1e9", "nan"])
def test_what_is_no_budget_is_refused(text):
    with pytest.raises(BadValue):
        Budget.parse(text)
