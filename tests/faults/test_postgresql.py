"""Several workers on one PostgreSQL: one that freezes is fenced, slots are taken once, restarts lose nothing."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from saescope.home import Home
from saescope.store import jobs
from saescope.studio import Studio
from support.postgresql import Postgresql
from support.restarts import restarted
from support.working import extract, orphans, prepared, queue, result, same, train, work, worker

LEASE = 2.0

FROZEN = {
    "while it trains": ("train", "train.step:30"),
    "in a checkpoint": ("train", "checkpoint.written:2"),
    "with its thing made and not listed": ("train", "making.renamed:1"),
    "in the transaction that lists it": ("train", "listing.writing:1"),
    "in a saved state": ("extract", "state.written:3"),
    "in its last write": ("extract", "end.writing:1"),
}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, Any]]:
    """What a training and an extraction come to in a home on SQLite."""
    home = prepared(tmp_path_factory.mktemp("undisturbed"), {"text": 300})
    assert work(home, queue(home, train("train", "text")), queue(home, extract("extract", "text"))) == 0
    return {name: result(home, name) for name in ("train", "extract")}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, postgresql: Postgresql) -> tuple[Home, str]:
    """A home with its catalogue on PostgreSQL, and the address."""
    address = postgresql.fresh()
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("SAESCOPE_DATABASE_URL", address)
        return prepared(tmp_path_factory.mktemp("shared"), {"text": 300}), address


@pytest.mark.parametrize("when", FROZEN)
def test_a_frozen_worker_that_wakes_after_another_took_its_job_writes_nothing(
    when: str, undisturbed: dict[str, tuple[Any, Any]], shared: tuple[Home, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, point = FROZEN[when]
    (home, address), name = shared, f"{kind}-{list(FROZEN).index(when)}"
    monkeypatch.setenv("SAESCOPE_DATABASE_URL", address)
    id = queue(home, train(name, "text") if kind == "train" else extract(name, "text"))
    frozen = worker(home, id, fault=f"{point}:SIGSTOP", owner="a", lease=LEASE)
    heir = None
    try:
        _, status = os.waitpid(frozen.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status), f"{point} was not reached"
        heir = worker(home, id, owner="b", lease=LEASE)
        _, said = heir.communicate(timeout=180)
        assert heir.returncode == 0, said
        rows, files = everything(home)
        frozen.send_signal(signal.SIGCONT)
        _, said = frozen.communicate(timeout=180)
        assert frozen.returncode == 1
        assert "Fenced" in said.splitlines()[-1] or "does not answer" in said
        now, left = everything(home)
        assert now == rows
        assert left <= files  # what it had made and not listed it takes away
    finally:
        for process in filter(None, (frozen, heir)):
            process.kill()
            process.wait()
    with Studio(home) as studio:
        job = jobs.job(studio.db, id)
        assert (job.state, job.attempt, [made["name"] for made in job.made]) == ("succeeded", 2, [name])
    assert same(result(home, name), undisturbed[kind])
    assert orphans(home) == []


def everything(home: Home) -> tuple[list[str], set[str]]:
    """Rows of the catalogue and of jobs, and files with their times."""
    with Studio(home) as studio:
        rows = [str(each) for kind in ("jobs", "saes", "extractions") for each in getattr(studio, kind)()]
    return rows, {f"{path} {path.stat().st_mtime_ns}" for path in home.artifacts.rglob("*") if path.is_file()}


def test_servers_that_start_together_take_a_slot_each(
    tmp_path: Path, postgresql_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAESCOPE_DATABASE_URL", postgresql_database)
    code = """
import sys
from saescope.home import Home
from saescope.jobs.serving import supervising
sys.stdin.readline()
with supervising(Home(sys.argv[1])) as slot:
    print(slot, flush=True)
    sys.stdin.readline()
"""
    words = [sys.executable, "-c", code, str(tmp_path / "home")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    servers = [subprocess.Popen(words, **pipes) for _ in range(6)]
    try:
        for server in servers:  # all at once
            server.stdin.write("begin\n")
            server.stdin.flush()
        assert sorted(server.stdout.readline().strip() for server in servers) == [str(slot) for slot in range(6)]
    finally:
        for server in servers:
            server.kill()
            server.communicate()


def test_two_servers_carry_out_every_job_once_while_the_database_is_restarted(
    tmp_path: Path, postgresql: Postgresql, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAESCOPE_DATABASE_URL", postgresql.fresh())
    figures = restarted(Home(tmp_path / "home"), postgresql, jobs_wanted=40, restarts=3, web=False)
    assert figures["succeeded"] == figures["datasets"] == 40
    assert (figures["doubled"], figures["left over"], figures["exit codes"]) == (0, [], [0])
