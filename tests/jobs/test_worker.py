"""Jobs as users meet them: run here, run by a worker, cancelled, resumed, killed after what they made was listed."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import saescope
from saescope.errors import Interrupted, NameTaken, NoSpace, Unreachable, WrongRequest
from saescope.home import runs_of
from saescope.jobs import add_sae
from saescope.jobs import worker as worker_module
from saescope.jobs.serving import served, serving
from saescope.jobs.worker import Worker, carry_out
from saescope.records import Progress
from saescope.store import catalogue, jobs
from saescope.studio import Studio

TRAIN: dict[str, Any] = {
    "model": "wide", "dataset": "text", "hookpoint": "layers.1.resid_post", "d_sae": 16, "k": 2, "context": 16,
    "batch": 64, "tokens": 64 * 10, "checkpoint_every": 3,
}  # fmt: skip


def until(true: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.02)


@pytest.fixture(params=["sqlite", "postgresql"], autouse=True)
def database(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The catalogue of the home, which is opened after this: the same holds for both."""
    monkeypatch.delenv("SAESCOPE_DATABASE_URL", raising=False)
    if request.param == "postgresql":
        monkeypatch.setenv("SAESCOPE_DATABASE_URL", request.getfixturevalue("postgresql_database"))


@pytest.fixture
def quiet(studio: Studio) -> Studio:
    """The home, its set-up's jobs forgotten."""
    jobs.prune(studio.db, 0)
    return studio


def test_a_command_leaves_a_job_with_its_figures_and_what_it_said(quiet: Studio) -> None:
    answer = quiet.run(saescope.TrainSae(**TRAIN, name="s"))
    (job,) = quiet.jobs()
    assert (job.verb, job.name, job.state, job.attempt) == ("train_sae", "s", "succeeded", 1)
    assert job.result["sae"] == answer["sae"] == "s"
    assert [made["name"] for made in job.made] == ["s"]
    assert job.spec["d_sae"] == 16


def test_questions_that_are_answered_at_once_leave_no_job(quiet: Studio) -> None:
    quiet.run(saescope.CheckSae(sae="sae", model="wide", dataset="text", context=16))
    quiet.run(saescope.ExtractFeatures(saes=("sae",), dataset="text", context=16, samples=8, estimate=True, force=True))
    assert quiet.jobs() == []


def test_a_wrong_request_is_raised_as_ever_and_its_job_says_why(quiet: Studio) -> None:
    quiet.run(saescope.TrainSae(**TRAIN, name="s"))
    with pytest.raises(NameTaken):
        quiet.run(saescope.TrainSae(**TRAIN, name="s"))
    assert quiet.jobs()[0].error["kind"] == "name_taken"
    assert quiet.jobs()[0].state == "failed"


def test_a_stopped_command_is_a_cancelled_job_that_can_be_resumed(quiet: Studio) -> None:
    def tell(progress: Progress) -> None:
        if progress.phase == "training":
            quiet.context.stop.set()

    spec = saescope.TrainSae(**{**TRAIN, "tokens": 64 * 3000}, name="s")
    with pytest.raises(Interrupted):
        quiet.run(spec, progress=tell)
    (job,) = quiet.jobs()
    assert job.state == "cancelled"
    answer = quiet.resume_job(job.id[:20])
    assert (answer["state"], answer["attempt"]) == ("succeeded", 2)
    assert catalogue.sae(quiet.db, "s").metrics["fvu"] is not None


def test_a_worker_carries_out_what_is_queued_and_stops_when_told(quiet: Studio) -> None:
    worker = Worker(quiet.context, "w")
    threads = worker.start()
    with serving(quiet.home):
        assert served(quiet.home)
        said: list[str] = []
        answer = quiet.run(saescope.TrainSae(**TRAIN, name="s"), notify=said.append)
        assert answer["sae"] == "s"
        assert any("queued as job" in line for line in said)
        assert quiet.jobs()[0].state == "succeeded"
        with pytest.raises(NameTaken, match="already an SAE named"):
            quiet.run(saescope.TrainSae(**TRAIN, name="s"))
    worker.going.set()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    assert not served(quiet.home)


def test_a_worker_that_is_told_to_go_gives_its_job_back(quiet: Studio) -> None:
    worker = Worker(quiet.context, "w")
    threads = worker.start()
    spec = saescope.TrainSae(**{**TRAIN, "tokens": 64 * 100_000}, name="long")
    job = jobs.add(quiet.db, "train_sae", "long", spec.model_dump(mode="json"))
    until(lambda: (jobs.job(quiet.db, job.id).progress or {}).get("phase") == "training")
    worker.going.set()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    back = jobs.job(quiet.db, job.id)
    assert (back.state, back.stalls) == ("queued", 0)
    assert jobs.cancel(quiet.db, job.id).state == "cancelled"


@pytest.mark.parametrize("verb", ["train", "extract"])
def test_a_cancelled_job_stops_and_goes_on_to_the_same_answer(quiet: Studio, verb: str, tmp_path: Path) -> None:
    if verb == "train":
        spec: Any = saescope.TrainSae(**{**TRAIN, "tokens": 64 * 1000, "checkpoint_every": 50}, name="cut")
        phase = "training"
    else:
        spec = saescope.ExtractFeatures(saes=("sae",), dataset="text", context=16, name="cut", force=True)
        phase = "extracting"
    worker = Worker(quiet.context, "w")
    threads = worker.start()
    job = jobs.add(quiet.db, saescope.jobs.verbs.verb(type(spec)), "cut", spec.model_dump(mode="json"))
    until(
        lambda: (
            (jobs.job(quiet.db, job.id).progress or {}).get("phase") in (phase, "writing")
            or jobs.job(quiet.db, job.id).over
        )
    )
    if not jobs.job(quiet.db, job.id).over:
        jobs.cancel(quiet.db, job.id)
    until(lambda: jobs.job(quiet.db, job.id).over, 10)
    if jobs.job(quiet.db, job.id).state == "cancelled":
        jobs.resume(quiet.db, job.id)
        until(lambda: jobs.job(quiet.db, job.id).over)
    assert jobs.job(quiet.db, job.id).state == "succeeded"
    worker.going.set()
    for thread in threads:
        thread.join(10)


@pytest.mark.parametrize(
    ("spec", "listed"),
    [
        (saescope.TrainSae(**TRAIN, name="new"), "saes"),
        (saescope.ExtractFeatures(saes=("sae",), dataset="text", context=16, name="new", force=True), "extractions"),
        (saescope.AddModel(name="new", source="MODEL"), "models"),
        (saescope.AddDataset(name="new", source="TEXT"), "datasets"),
    ],
)
def test_a_job_killed_after_its_thing_was_listed_is_over_when_taken_again(
    quiet: Studio, spec: Any, listed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the catalogue's transaction and the job's last: nothing is made twice, nothing fails."""
    places = {"MODEL": str(tmp_path / "model"), "TEXT": str(tmp_path / "text.jsonl")}
    if getattr(spec, "source", None) in places:
        spec = spec.model_copy(update={"source": places[spec.source]})
    job = jobs.add(quiet.db, saescope.jobs.verbs.verb(type(spec)), "new", spec.model_dump(mode="json"))
    mine = jobs.claim(quiet.db, "device", "w")

    class Killed(BaseException):
        pass

    def killed(*_: Any, **__: Any) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(worker_module.jobs, "end", killed)
        with pytest.raises(Killed):
            carry_out(mine, quiet.context)
    names = [record.name for record in getattr(quiet, listed)()]
    assert names.count("new") == 1
    jobs.abandon(quiet.db, "w")
    again = jobs.claim(quiet.db, "device", "w2")
    carry_out(again, quiet.context)
    assert jobs.job(quiet.db, job.id).state == "succeeded"
    assert [record.name for record in getattr(quiet, listed)()] == names


def test_of_several_extractions_those_listed_before_a_kill_are_not_made_again(
    quiet: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet.run(saescope.TrainSae(**TRAIN, name="other"))
    spec = saescope.ExtractFeatures(saes=("sae", "other"), dataset="text", context=16, force=True)
    jobs.add(quiet.db, "extract_features", "two", spec.model_dump(mode="json"))
    mine = jobs.claim(quiet.db, "device", "w")
    original, calls = catalogue.add_extraction, 0

    class Killed(BaseException):
        pass

    def second(*arguments: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise Killed
        original(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr("saescope.jobs.extract_features.catalogue.add_extraction", second)
        with pytest.raises(Killed):
            carry_out(mine, quiet.context)
    first = quiet.extractions()
    assert len(first) == 1
    jobs.resume(quiet.db, mine.id)
    answer = carry_out(jobs.claim(quiet.db, "device", "w2"), quiet.context)
    assert [each["extraction"] for each in answer["extractions"]] == ["sae-on-text", "other-on-text"]
    assert len(quiet.extractions()) == 2
    assert quiet.extractions()[0].id == first[0].id


def test_a_full_disk_fails_the_job_with_the_reason_and_it_goes_on_when_there_is_room(
    quiet: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("saescope.jobs.add_sae.save_sae", full)
        with pytest.raises(NoSpace):
            quiet.run(saescope.TrainSae(**TRAIN, name="s"))
    job = quiet.jobs()[0]
    assert (job.state, job.error["kind"]) == ("failed", "no_space")
    assert quiet.resume_job(job.id)["state"] == "succeeded"


@pytest.mark.parametrize("times", [1, 3])
def test_a_full_disk_pauses_a_worker_s_job_which_is_tried_again(
    quiet: Studio, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    left, save = times, add_sae.save_sae

    def full(*arguments: Any) -> None:
        nonlocal left
        left -= 1
        if left >= 0:
            raise OSError(28, "No space left on device")
        save(*arguments)

    monkeypatch.setattr(jobs, "PAUSE_SECONDS", 0.5)
    monkeypatch.setattr(add_sae, "save_sae", full)
    job = jobs.add(quiet.db, "train_sae", "s", saescope.TrainSae(**TRAIN, name="s").model_dump(mode="json"))
    worker = Worker(quiet.context, "w")
    threads = worker.start()
    until(lambda: jobs.job(quiet.db, job.id).error is not None)
    waiting = jobs.job(quiet.db, job.id)
    assert (waiting.state, waiting.error["kind"], waiting.stalls) == ("queued", "no_space", 0)
    until(lambda: jobs.job(quiet.db, job.id).over)
    over = jobs.job(quiet.db, job.id)
    assert (over.state, over.attempt, over.error) == ("succeeded", times + 1, None)
    worker.going.set()
    for thread in threads:
        thread.join(10)


def test_a_job_whose_database_is_away_is_ended_when_it_is_back(quiet: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs.add(quiet.db, "train_sae", "s", saescope.TrainSae(**TRAIN, name="s").model_dump(mode="json"))
    mine = jobs.claim(quiet.db, "device", "w")
    end, calls = jobs.end, 0

    def away(*arguments: Any, **more: Any) -> None:
        nonlocal calls
        calls += 1
        if calls < 3:
            raise Unreachable("it does not answer", "check SAESCOPE_DATABASE_URL")
        end(*arguments, **more)

    monkeypatch.setattr(worker_module, "_AGAIN_SECONDS", 0.01)
    monkeypatch.setattr(worker_module.jobs, "end", away)
    carry_out(mine, quiet.context)
    assert (calls, jobs.job(quiet.db, mine.id).state) == (3, "succeeded")


def test_pruning_takes_what_pruned_jobs_kept_to_go_on_from(quiet: Studio) -> None:
    def stopped(progress: Progress) -> None:
        if progress.phase == "training" and progress.done:
            quiet.context.stop.set()

    for seed, name in enumerate(("old", "new")):
        spec = saescope.TrainSae(**{**TRAIN, "tokens": 64 * 3000, "checkpoint_every": 100, "seed": seed}, name=name)
        with pytest.raises(Interrupted):
            quiet.run(spec, progress=stopped)
        quiet.context.stop.clear()
    new, old = quiet.jobs()
    runs = {each.id: runs_of(quiet.home.work, each.id) for each in (new, old)}
    assert all(len(folders) == 1 for folders in runs.values())
    assert quiet.show_job(new.id)["metrics"][0]["step"] >= 1
    assert quiet.prune_jobs(keep=1) == 1
    assert (runs[new.id][0].exists(), runs[old.id][0].exists()) == (True, False)
    answer = quiet.resume_job(new.id)
    assert (answer["state"], answer["metrics"][0]["step"]) == ("succeeded", 3000)


def test_jobs_of_two_lanes_have_ways_of_their_own_to_be_told_and_stopped(quiet: Studio) -> None:
    one, other = threading.Event(), threading.Event()
    first = quiet.context.for_job(lambda progress: None, lambda message: None, one)
    second = quiet.context.for_job(lambda progress: None, lambda message: None, other)
    one.set()
    with pytest.raises(Interrupted):
        first.check_stop()
    second.check_stop()
    assert first._models is second._models


def test_a_home_is_served_once(quiet: Studio) -> None:
    with serving(quiet.home), pytest.raises(WrongRequest, match="already served"), serving(quiet.home):
        pass
