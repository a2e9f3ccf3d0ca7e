"""`saescope serve` as processes: killed, told to end, asked questions; nothing lost, nothing left running."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

import saescope
from saescope.errors import Unreachable
from saescope.home import Home
from saescope.interactive import ask, socket_path
from saescope.jobs.serving import served
from saescope.sae import read_sae
from saescope.store import catalogue, jobs
from saescope.studio import Studio
from support.tiny import save_tiny_model

SERVE = """
import sys
from saescope.home import Home
from saescope.jobs.supervisor import serve
serve(Home(sys.argv[1]), "127.0.0.1", 0, print, web=False)
"""


def until(true: Callable[[], Any], seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.02)
    return found


@pytest.fixture
def home(tmp_path: Path) -> Home:
    line = '{"text": "The people of the United States work in peace, and the Senate trades with every nation."}\n'
    (tmp_path / "text.jsonl").write_text(line * 200)
    with saescope.open(tmp_path / "home") as studio:
        studio.run(saescope.AddDataset(name="text", source=str(tmp_path / "text.jsonl")))
        studio.run(saescope.AddModel(name="tiny", source=str(save_tiny_model(tmp_path / "model"))))
        studio.run(train("first", tokens=64 * 200))
        spec = saescope.ExtractFeatures(
            saes=("first",), dataset="text", context=16, name="look", samples=60, force=True
        )
        studio.run(spec)
    return Home(tmp_path / "home")


def train(name: str, **changes: Any) -> saescope.TrainSae:
    fields: dict[str, Any] = {
        "model": "tiny", "dataset": "text", "hookpoint": "layers.1.resid_post", "d_sae": 48, "k": 4, "context": 16,
        "batch": 64, "tokens": 64 * 2500, "checkpoint_every": 50, "metrics_every": 50, "buffer": 512,
    }  # fmt: skip
    return saescope.TrainSae(**{**fields, **changes}, name=name)


class Serving:
    """A supervisor and what it started."""

    def __init__(self, home: Home) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
        self.process = subprocess.Popen([sys.executable, "-c", SERVE, str(home.root)], env=environment)
        until(lambda: served(home) and socket_path(home).exists())

    def worker(self) -> psutil.Process:
        return until(lambda: next(iter(psutil.Process(self.process.pid).children()), None))

    def everyone(self) -> list[psutil.Process]:
        me = psutil.Process(self.process.pid)
        return [me, *me.children(recursive=True)]


@pytest.fixture
def server(home: Home) -> Iterator[Serving]:
    started = Serving(home)
    yield started
    if started.process.poll() is None:
        started.process.terminate()
        started.process.wait(20)


def queue(home: Home, spec: Any) -> str:
    with Studio(home) as studio:
        return jobs.add(studio.db, saescope.jobs.verbs.verb(type(spec)), spec.name, spec.model_dump(mode="json")).id


def now(home: Home, id: str) -> Any:
    with Studio(home) as studio:
        return jobs.job(studio.db, id)


def under_way(home: Home, id: str) -> bool:
    """Whether a worker has it that is alive, and has come to where something is kept."""
    job = now(home, id)
    return job.state == "running" and job.stalls == 0


def weights(home: Home, name: str) -> dict[str, torch.Tensor]:
    with Studio(home) as studio:
        return read_sae(home.artifact("saes", catalogue.sae(studio.db, name).id)).weights


def test_a_worker_killed_again_and_again_loses_and_doubles_nothing(home: Home, server: Serving) -> None:
    """Two trainings and an extraction; the worker is killed four times while they run."""
    ids = [queue(home, train("a", checkpoint_every=10)), queue(home, train("b", seed=3, checkpoint_every=10))]
    extraction = saescope.ExtractFeatures(saes=("first",), dataset="text", context=16, name="all", force=True)
    ids.append(queue(home, extraction))
    for pause in (1.5, 0.9, 2.5, 1.2):
        until(lambda: any(under_way(home, id) for id in ids) or all(now(home, id).over for id in ids))
        time.sleep(pause)
        killed = server.worker()
        killed.kill()
        until(lambda k=killed: not k.is_running() and served(home), 60)
    until(lambda: all(now(home, id).over for id in ids), 120)
    assert [(now(home, id).state, now(home, id).error) for id in ids] == [("succeeded", None)] * 3
    with Studio(home) as studio:
        assert sorted(sae.name for sae in studio.saes()) == ["a", "b", "first"]
        assert [extraction.name for extraction in studio.extractions()] == ["look", "all"]
    server.process.terminate()
    assert server.process.wait(20) == 0
    with Studio(home) as studio:
        studio.run(train("a-alone", checkpoint_every=10))
    assert all(torch.equal(tensor, weights(home, "a-alone")[name]) for name, tensor in weights(home, "a").items())


def test_when_the_server_is_killed_its_worker_goes_and_the_next_server_carries_on(home: Home, server: Serving) -> None:
    id = queue(home, train("a"))
    until(lambda: (now(home, id).progress or {}).get("phase") == "training" or now(home, id).over)
    everyone = server.everyone()
    server.process.kill()
    server.process.wait()
    until(lambda: not any(process.is_running() and process.status() != "zombie" for process in everyone), 20)
    again = Serving(home)
    until(lambda: now(home, id).over, 90)
    assert now(home, id).state == "succeeded"
    again.process.terminate()
    assert again.process.wait(20) == 0


def test_told_to_end_it_gives_its_jobs_back_and_leaves_no_process(home: Home, server: Serving) -> None:
    id = queue(home, train("a", tokens=64 * 100_000))
    until(lambda: (now(home, id).progress or {}).get("phase") == "training")
    everyone = server.everyone()
    assert len(everyone) >= 2
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(10) == 0
    assert not any(process.is_running() for process in everyone)
    assert now(home, id).state == "queued"
    assert not socket_path(home).exists()


def test_a_second_server_of_a_home_is_refused(home: Home, server: Serving) -> None:
    done = subprocess.run([sys.executable, "-c", SERVE, str(home.root)], capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert "already served" in done.stderr


def test_a_supervisor_loads_no_torch(home: Home) -> None:
    code = "import sys, saescope.jobs.supervisor, saescope.interactive; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "False"


def test_questions_are_answered_while_a_long_job_runs(home: Home, server: Serving) -> None:
    fire = {"extraction": "look", "text": "The people of the Senate"}
    answers = list(ask(home, "fire_text", fire))
    assert "result" in answers[-1], answers
    alone = answers[-1]["result"]
    id = queue(home, train("a", tokens=64 * 100_000))
    until(lambda: (now(home, id).progress or {}).get("phase") == "training")
    assert list(ask(home, "fire_text", fire))[-1]["result"] == alone
    edits = [{"feature": 3, "mode": "add", "amount": 30.0, "unit": "raw"}]
    steer = {"sae": "first", "prompt": "The people", "edits": edits, "max_new_tokens": 5}
    messages = list(ask(home, "steer_text", steer))
    assert "result" in messages[-1], messages[-1]
    tokens = [message["token"] for message in messages if "token" in message]
    result = messages[-1]["result"]
    assert [token["run"] for token in tokens] == ["original"] * 5 + ["steered"] * 5
    assert [token["id"] for token in tokens[:5]] == list(result["original_token_ids"])
    assert now(home, id).state == "running"
    with Studio(home) as studio:
        studio.cancel_job(id)
    until(lambda: now(home, id).over, 10)
    assert now(home, id).state == "cancelled"


def test_a_wrong_question_gets_one_clear_line(home: Home, server: Serving) -> None:
    (answer,) = ask(home, "fire_text", {"extraction": "nowhere", "text": "x"})
    assert answer["error"]["kind"] == "not_found"
    (answer,) = ask(home, "fly", {})
    assert answer["error"]["kind"] == "bad_value"


def test_where_nothing_serves_a_question_says_so(home: Home) -> None:
    with pytest.raises(Unreachable, match="does not answer"):
        list(ask(home, "fire_text", {"extraction": "look", "text": "x"}))


def test_the_commands_show_cancel_and_resume_the_same_jobs(home: Home, server: Serving) -> None:
    def saescope_(*words: str) -> Any:
        done = subprocess.run(
            [sys.executable, "-m", "saescope", *words, "--home", str(home.root), "--json"],
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        return json.loads(done.stdout)

    id = queue(home, train("a", tokens=64 * 4000))
    until(lambda: (now(home, id).progress or {}).get("phase") == "training")
    assert saescope_("jobs", "list")["jobs"][0]["id"] == id
    assert saescope_("jobs", "cancel", id[:22])["id"] == id
    until(lambda: now(home, id).over, 10)
    shown = saescope_("jobs", "show", id)
    assert shown["state"] == "cancelled"
    assert saescope_("jobs", "resume", id)["state"] == "succeeded"
    assert saescope_("jobs", "show", "nothing")["error"]["kind"] == "not_found"
