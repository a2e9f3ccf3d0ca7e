"""The table of jobs, on SQLite and on a real PostgreSQL: one owner for each, and nothing written by anybody else."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from saescope.errors import NotFound, WrongRequest
from saescope.records import Job
from saescope.store import Database, jobs, schema


def add(db: Database, name: str = "a", lane: jobs.Lane = "device") -> Job:
    return jobs.add(db, "train_sae", name, {"model": "m"}, lane)


def claimed(db: Database, owner: str = "w", lane: jobs.Lane = "device") -> Job:
    job = jobs.claim(db, lane, owner)
    assert job is not None
    return job


def expire(db: Database, job: Job) -> None:
    """As if the worker's lease had run out."""
    with db.writing() as connection:
        connection.execute(schema.jobs.update().where(schema.jobs.c.id == job.id).values(lease_until=0.0))


def test_a_job_is_queued_claimed_once_and_ends(db: Database) -> None:
    added = add(db)
    assert (added.state, added.attempt, added.spec) == ("queued", 0, {"model": "m"})
    mine = claimed(db)
    assert (mine.id, mine.state, mine.attempt, mine.owner) == (added.id, "running", 1, "w")
    assert jobs.claim(db, "device", "other") is None
    assert jobs.beat(db, mine, {"phase": "training", "done": 1}) is False
    jobs.end(db, mine, "succeeded", result={"sae": "s"})
    over = jobs.job(db, added.id)
    assert (over.state, over.result, over.progress) == ("succeeded", {"sae": "s"}, {"phase": "training", "done": 1})
    assert over.error is None
    assert over.ended >= over.started >= over.created > 1.7e9


def test_the_oldest_comes_first_and_lanes_do_not_wait_for_each_other(db: Database) -> None:
    first, second, beside = add(db, "1"), add(db, "2"), add(db, "3", lane="llm")
    assert [claimed(db).id, claimed(db).id] == [first.id, second.id]
    assert claimed(db, lane="llm").id == beside.id


def test_only_the_one_asked_for_is_claimed(db: Database) -> None:
    add(db)
    wanted = add(db)
    found = jobs.claim(db, "device", "w", only=wanted.id)
    assert found is not None
    assert found.id == wanted.id
    assert jobs.claim(db, "device", "w", only=wanted.id) is None


def test_a_job_whose_lease_ran_out_is_taken_over_and_its_old_worker_fenced(db: Database) -> None:
    add(db)
    zombie = claimed(db, "old")
    expire(db, zombie)
    heir = claimed(db, "new")
    assert (heir.id, heir.attempt) == (zombie.id, 2)
    for write in (
        lambda: jobs.beat(db, zombie, None),
        lambda: jobs.say(db, zombie, "still here"),
        lambda: jobs.end(db, zombie, "succeeded"),
    ):
        with pytest.raises(jobs.Fenced):
            write()
    jobs.give_back(db, zombie)
    assert jobs.job(db, heir.id).owner == "new"
    with jobs.holding(zombie), pytest.raises(jobs.Fenced), db.writing() as connection:
        jobs.fence(connection)
    jobs.end(db, heir, "succeeded")


def test_what_a_fenced_worker_wrote_in_the_same_transaction_is_not_there(db: Database) -> None:
    add(db)
    zombie = claimed(db)
    expire(db, zombie)
    claimed(db)
    with pytest.raises(jobs.Fenced), jobs.holding(zombie), db.writing() as connection:  # noqa: PT012
        connection.execute(schema.datasets.insert().values(
            id="x", name="x", source="", fingerprint="", documents=1, blank_documents=0, characters=1, created=""
        ))  # fmt: skip
        jobs.fence(connection)
    with db.reading() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(schema.datasets)) == 0


def test_three_starts_without_anything_finished_end_a_job(db: Database) -> None:
    added = add(db)
    for _ in range(jobs.STALLS):
        expire(db, claimed(db))
    assert jobs.claim(db, "device", "w") is None
    over = jobs.job(db, added.id)
    assert (over.state, over.error["kind"]) == ("failed", "poison")
    jobs.resume(db, added.id)
    assert claimed(db).stalls == 1


def test_a_job_that_finishes_something_each_time_is_never_poison(db: Database) -> None:
    add(db)
    for _ in range(3 * jobs.STALLS):
        mine = claimed(db)
        with jobs.holding(mine), db.writing() as connection:
            jobs.fence(connection)
            jobs.note(connection, "sae", "id", "name")
        expire(db, mine)
    assert len(jobs.job(db, mine.id).made) == 3 * jobs.STALLS


def test_a_queued_job_is_cancelled_at_once_and_a_running_one_is_told(db: Database) -> None:
    waiting = add(db)
    assert jobs.cancel(db, waiting.id).state == "cancelled"
    running = add(db)
    mine = claimed(db)
    assert jobs.cancel(db, running.id).state == "running"
    assert jobs.beat(db, mine, None) is True
    jobs.end(db, mine, "cancelled")
    with pytest.raises(WrongRequest, match="cancelled already"):
        jobs.cancel(db, running.id)
    again = jobs.resume(db, running.id)
    assert (again.state, again.cancel) == ("queued", False)
    with pytest.raises(WrongRequest, match="only cancelled and failed"):
        jobs.resume(db, running.id)


def test_a_cancelled_job_of_a_dead_worker_is_not_taken_again(db: Database) -> None:
    added = add(db)
    mine = claimed(db)
    jobs.cancel(db, added.id)
    expire(db, mine)
    assert jobs.claim(db, "device", "w") is None
    assert jobs.job(db, added.id).state == "queued" or jobs.job(db, added.id).state == "cancelled"
    assert jobs.job(db, added.id).state == "cancelled"


def test_a_job_given_back_is_queued_as_before_its_start(db: Database) -> None:
    add(db)
    mine = claimed(db)
    jobs.give_back(db, mine)
    back = jobs.job(db, mine.id)
    assert (back.state, back.stalls, back.owner) == ("queued", 0, None)
    assert claimed(db).attempt == 2


def test_a_paused_job_says_why_and_comes_later_or_when_it_is_resumed(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    reason = {"kind": "no_space", "message": "no space left", "hint": "free some"}
    add(db)
    mine = claimed(db)
    jobs.pause(db, mine, reason)
    paused = jobs.job(db, mine.id)
    assert (paused.state, paused.stalls, paused.owner, paused.error) == ("queued", 0, None, reason)
    assert jobs.claim(db, "device", "w") is None
    with pytest.raises(jobs.Fenced):
        jobs.pause(db, mine, reason)
    assert jobs.resume(db, mine.id).error is None
    again = claimed(db)
    monkeypatch.setattr(jobs, "PAUSE_SECONDS", -1.0)
    jobs.pause(db, again, reason)
    assert claimed(db).error is None
    jobs.give_back(db, jobs.job(db, mine.id))
    assert jobs.cancel(db, mine.id).state == "cancelled"


def test_a_job_of_somebody_else_is_noticed_before_anything_is_saved(db: Database) -> None:
    add(db)
    mine = claimed(db)
    jobs.check(db, mine)
    expire(db, mine)
    claimed(db, "heir")
    with pytest.raises(jobs.Fenced):
        jobs.check(db, mine)


def test_leases_of_one_owner_are_ended_when_it_is_known_to_be_gone(db: Database) -> None:
    add(db), add(db)
    mine, other = claimed(db, "gone"), claimed(db, "alive")
    assert jobs.abandon(db, "gone") == 1
    assert claimed(db, "heir").id == mine.id
    assert jobs.beat(db, other, None) is False


def test_lines_are_kept_in_order_and_only_the_last_ones(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "KEPT_LINES", 5)
    add(db)
    mine = claimed(db)
    for number in range(12):
        jobs.say(db, mine, f"line {number}")
    kept = jobs.lines(db, mine.id)
    assert [line["text"] for line in kept] == [f"line {number}" for number in range(7, 12)]
    assert [line["text"] for line in jobs.lines(db, mine.id, after=kept[2]["id"])] == ["line 10", "line 11"]


def test_lists_are_pages_newest_first_and_pruning_keeps_the_newest(db: Database) -> None:
    made = [add(db, str(number)) for number in range(6)]
    for _ in range(4):
        mine = claimed(db)
        jobs.say(db, mine, "done")
        jobs.end(db, mine, "succeeded")
    page = jobs.jobs(db, limit=2)
    assert [job.id for job in page] == [made[5].id, made[4].id]
    assert [job.id for job in jobs.jobs(db, limit=2, before=page[-1].id)] == [made[3].id, made[2].id]
    assert [job.name for job in jobs.jobs(db, state="queued")] == ["5", "4"]
    assert jobs.prune(db, keep=1) == 3
    assert [job.name for job in jobs.jobs(db)] == ["5", "4", "3"]
    with pytest.raises(NotFound):
        jobs.job(db, made[0].id)


def test_many_workers_carry_out_every_job_once(db: Database) -> None:
    ids = [add(db, str(number)).id for number in range(60)]
    done: list[str] = []
    lock = threading.Lock()

    def work(owner: str) -> None:
        while (mine := jobs.claim(db, "device", owner)) is not None:
            jobs.beat(db, mine, None)
            jobs.end(db, mine, "succeeded")
            with lock:
                done.append(mine.id)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, "abcd"))
    assert sorted(done) == sorted(ids)
