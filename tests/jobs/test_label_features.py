"""Labels by an LLM, from the request to the catalogue: few calls, nothing lost, paid twice or over budget."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import saescope
from saescope import interactive
from saescope.errors import BadSource, BadValue, WrongRequest
from saescope.jobs.answering import Answering
from saescope.store import catalogue
from saescope.store.labels import label_errors, label_history
from saescope.store.llm_calls import ledger
from saescope.studio import Studio
from support.llm_server import FAULTS, llm_server, scripted
from support.planted_home import NAME, live, planted_home, word

FEATURES = 70
LIVE = live(FEATURES)
KEY = "sk-canary-5f2d9c31e0"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("SAESCOPE_DATABASE_URL", raising=False)
    return planted_home(tmp_path / "home", FEATURES)


@pytest.fixture
def studio(home):
    with saescope.open(home.root) as opened:
        yield opened


def asked(server, **fields) -> saescope.LabelFeatures:
    spec = {"extraction": NAME, "explainer": "llm", "llm_url": server.url, "llm_model": "scripted"}
    return saescope.LabelFeatures(**{**spec, **fields})


def labels_of(studio: Studio, features=LIVE):
    extraction = catalogue.extraction(studio.db, NAME)
    return {feature: label_history(studio.db, extraction.id, feature) for feature in features}


def test_every_live_feature_gets_a_label_and_both_scores_in_at_most_six_calls(studio):
    with llm_server() as server:
        document = studio.run(asked(server))
        assert (document["labelled"], document["failed"], document["dead"]) == (60, 0, 10)
        assert server.counts["answered"] == document["llm"]["calls"] <= 6 * 60
    for feature, [label] in labels_of(studio).items():
        assert (label.text, label.source, label.model) == (f"the word {word(feature)}", "llm", "scripted")
        assert label.prompt.startswith("explain@")
        for name in ("detection", "fuzzing"):
            score = label.scores[name]
            assert score.value > 0.95
            assert (score.judge, score.chance, score.failed) == ("scripted", 0.5, 0)
            assert score.low <= score.value <= score.high
            assert score.n >= 10


def test_a_run_that_is_given_again_asks_nothing(studio):
    with llm_server() as server:
        studio.run(asked(server, features="0-20"))
        before = server.counts.total()
        document = studio.run(asked(server, features="0-20"))
        assert (document["kept"], server.counts.total()) == (18, before)
        studio.run(asked(server, features="0-5", again=True))
        assert server.counts.total() > before
        assert [len(history) for history in labels_of(studio, [0, 12]).values()] == [2, 1]


def test_through_every_fault_each_feature_ends_in_a_label_or_a_counted_error(studio):
    with llm_server(faults=FAULTS, seed=2) as server:
        document = studio.run(asked(server, features="0-12", timeout=0.5))
        assert document["labelled"] + document["failed"] == 12
        extraction = catalogue.extraction(studio.db, NAME)
        assert len(label_errors(studio.db, extraction.id)) == document["failed"]
        [one] = ledger(studio.db)
        assert sum(one["states"].values()) == server.counts.total()


def test_a_failed_answer_is_an_error_row_with_what_was_said_and_no_label(studio):
    def answer(system, user):
        return "owned" if f"«{word(3)}»" in user and "numbers" not in user else scripted(system, user)

    with llm_server(answer=answer) as server:
        document = studio.run(asked(server, features="2-4"))
        assert (document["labelled"], document["failed"]) == (2, 1)
        assert labels_of(studio, [3]) == {3: []}
        [error] = studio.label_errors(NAME)
        assert (error.feature, error.raw, error.source) == (3, "owned", "llm")


def test_what_a_judge_fails_to_answer_is_counted_as_failed(studio):
    with llm_server(answer=lambda system, user: "?" if "numbers" in user else scripted(system, user)) as server:
        studio.run(asked(server, features="2"))
    [label] = labels_of(studio, [2])[2]
    assert label.text == f"the word {word(2)}"
    assert [(score.value, score.n) for score in label.scores.values()] == [(None, 0)] * 2
    assert all(score.failed >= 20 for score in label.scores.values())


@pytest.mark.parametrize("always", [0, 1])
def test_a_judge_that_always_says_the_same_scores_at_chance(studio, always):
    def answer(system, user):
        told = json.loads(scripted(system, user))
        return json.dumps({"answers": [always] * len(told["answers"])} if "answers" in told else told)

    with llm_server(answer=answer) as server:
        studio.run(asked(server, features="2-5"))
    for [label] in labels_of(studio, [2, 3, 4, 5]).values():
        assert [score.value for score in label.scores.values()] == [0.5, 0.5]


def test_an_estimate_asks_nothing_and_counts_every_call(studio):
    with llm_server() as server:
        guess = studio.run(asked(server, estimate=True))
        assert server.counts.total() == 0
        assert guess["features"] == 60
        document = studio.run(asked(server))
        assert guess["calls"] == pytest.approx(document["llm"]["calls"], abs=3)
        assert guess["at_most"]["tokens_in"] >= document["llm"]["tokens_in"]
        assert 0.6 < document["llm"]["tokens_in"] / guess["tokens_in"] < 1.6
        assert studio.run(asked(server, estimate=True))["calls"] == 0


def test_a_budget_ends_the_run_where_it_is_spent_and_more_goes_on(studio):
    with llm_server() as server:
        studio.add_llm("there", server.url, "scripted", price_in=1.0, price_out=2.0)
        request = {"extraction": NAME, "explainer": "llm"}
        document = studio.run(saescope.LabelFeatures(**request, budget="0.25"))
        assert "budget" in document["stopped"]
        assert 0 < document["labelled"] < 60
        assert document["labelled"] + document["left"] == 60
        assert (server.tokens_in + 2 * server.tokens_out) / 1e6 <= document["llm"]["cost"] + 1e-9 <= 0.25
        calls = server.counts.total()
        assert studio.run(saescope.LabelFeatures(**request, budget="0.25"))["labelled"] >= document["labelled"]
        document = studio.run(saescope.LabelFeatures(**request, budget="2"))
        assert (document["labelled"], document["stopped"]) == (60, None)
        assert calls < server.counts.total() == len(set(map(json.dumps, server.bodies)))


def test_a_refused_key_ends_the_job_with_the_reason_and_keeps_nothing_of_it(studio):
    with llm_server(always=(401, {"message": f"unknown key {KEY}"})) as server:
        studio.add_llm("there", server.url, "scripted", key=KEY)
        with pytest.raises(WrongRequest, match="401: unknown key \\*\\*\\*"):
            studio.run(saescope.LabelFeatures(extraction=NAME, explainer="llm"))
        assert server.counts.total() <= 4
        [job] = studio.jobs()
        assert job.state == "failed"
        assert KEY not in json.dumps(job.to_json())


def test_who_is_asked_has_to_be_clear(studio):
    with pytest.raises(BadValue, match="none is known"):
        studio.run(saescope.LabelFeatures(extraction=NAME, explainer="llm"))
    for name in ("one", "two"):
        studio.add_llm(name, "http://127.0.0.1:1/v1", "m")
    with pytest.raises(BadValue, match="several are known"):
        studio.run(saescope.LabelFeatures(extraction=NAME, explainer="llm"))
    with pytest.raises(BadValue, match="prices of one are not known"):
        studio.run(saescope.LabelFeatures(extraction=NAME, explainer="llm", llm="one", budget="1"))
    for wrong in ({"llm": "a", "llm_url": "http://x", "llm_model": "m"}, {"llm_url": "http://x"}):
        with pytest.raises(BadValue):
            saescope.LabelFeatures(extraction=NAME, explainer="llm", **wrong)
    with pytest.raises(BadValue, match="asks no LLM"):
        saescope.LabelFeatures(extraction=NAME, budget="1")


def test_two_explainers_stand_side_by_side(studio):
    with llm_server() as server:
        studio.run(saescope.LabelFeatures(extraction=NAME, features="2"))
        studio.run(asked(server, features="2"))
        studio.run(asked(server, features="2", explainer="llm-contrastive"))
    assert {label.source for label in labels_of(studio, [2])[2]} == {"lexical", "llm", "llm-contrastive"}


RUN = """
import sys, saescope
from saescope.specs import LabelFeatures
studio = saescope.open(sys.argv[1])
studio.run(LabelFeatures(extraction=sys.argv[3], explainer="llm", llm_url=sys.argv[2], llm_model="scripted"))
"""


def test_a_kill_loses_no_label_and_pays_at_most_the_calls_under_way_twice(home, studio):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    with llm_server(delay=0.03) as server:
        words = [sys.executable, "-c", RUN, str(home.root), server.url, NAME]
        process = subprocess.Popen(words, env=environment, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 60
        while server.counts["answered"] < 100 and time.monotonic() < until:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
        before = {feature: labels for feature, labels in labels_of(studio).items() if labels}
        document = studio.run(asked(server))
        assert document["labelled"] == 60
        after = labels_of(studio)
        assert all(after[feature] == labels for feature, labels in before.items())
        assert all(len(labels) == 1 for labels in after.values())
        clean = len(set(map(json.dumps, server.bodies)))
        assert clean <= server.counts.total() <= clean + 16
        [one] = ledger(studio.db)
        assert one["states"]["answered"] == 300
        assert server.counts.total() <= sum(one["states"].values()) <= server.counts.total() + 16


def test_the_worker_answers_what_it_would_cost_and_what_would_be_asked(home, studio):
    answering = Answering(studio.context)
    try:
        spec = {"extraction": NAME, "explainer": "llm", "llm_url": "http://127.0.0.1:1", "llm_model": "m"}
        [*_, said] = interactive.ask(home, "label_features", spec | {"estimate": True}, 60)
        assert (said["result"]["features"], said["result"]["kept"]) == (60, 0)
        assert 3 * 60 < said["result"]["calls"] <= 6 * 60
        asked = {"extraction": NAME, "feature": 2, "explainer": "llm-contrastive"}
        [*_, said] = interactive.ask(home, "show_prompt", asked, 60)
        assert f"«{word(2)}»" in said["result"]["user"]
        assert said["result"]["prompt"].startswith("explain-contrastive@")
    finally:
        answering.close()


CHANCE = {"detection": 0.5, "fuzzing": 0.5, "simulation": 0.0, "intruder": 0.25, "surprisal": 0.5}


def test_every_score_knows_a_true_label_and_its_own_chance(studio):
    with llm_server() as server:
        request = asked(server, features="2-4", score=",".join(CHANCE))
        guess = studio.run(request.model_copy(update={"estimate": True}))
        document = studio.run(request)
        assert guess["calls"] == document["llm"]["calls"] == server.counts["answered"]
        assert guess["at_most"]["tokens_in"] >= document["llm"]["tokens_in"]
        assert document["llm"]["tokens_in"] == server.tokens_in
    for [label] in labels_of(studio, [2, 3, 4]).values():
        assert set(label.scores) == set(CHANCE)
        for name, score in label.scores.items():
            assert score.chance == CHANCE[name]
            assert score.value > 0.9, name
            assert score.low <= score.value <= score.high
            assert score.low > score.chance


@pytest.mark.parametrize("always", [0, 1])
def test_a_judge_that_knows_nothing_scores_at_chance_in_every_score(studio, always):
    """Always the same number; a label that says nothing."""

    def answer(system, user):
        told = json.loads(scripted(system, user))
        same = always + ("from 1 to 4" in user)
        return json.dumps({"answers": [same] * len(told["answers"])} if "answers" in told else {"label": "nothing"})

    with llm_server(answer=answer) as server:
        studio.run(asked(server, features="0-20", score=",".join(CHANCE)))
    scores = [label.scores for [label] in labels_of(studio, [f for f in LIVE if f <= 20]).values()]
    assert {each["simulation"].value for each in scores} == {0.0}
    assert {each["surprisal"].value for each in scores} == {0.5}
    found = [each["intruder"].value for each in scores]
    assert abs(sum(found) / len(found) - 0.25) < 0.1
    assert all(
        each[name].low <= CHANCE[name] <= each[name].high for each in scores for name in ("detection", "fuzzing")
    )


def test_surprisal_says_when_a_server_gives_no_log_probabilities(studio):
    with llm_server() as server:
        server._echo = lambda asked, writer: server._send(writer, 200, {"choices": []})
        with pytest.raises(BadSource, match="no log-probabilities"):
            studio.run(asked(server, features="2", score="surprisal"))


def test_rules_are_simulated_without_an_llm(studio):
    studio.run(saescope.LabelFeatures(extraction=NAME, features="2", score="detection,simulation"))
    [label] = labels_of(studio, [2])[2]
    assert label.scores["simulation"].value > 0.9
    assert label.scores["simulation"].interval == "bootstrap"
    with pytest.raises(BadValue, match="needs an LLM"):
        studio.run(saescope.LabelFeatures(extraction=NAME, features="2", score="intruder"))
