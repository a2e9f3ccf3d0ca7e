import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from saescope import interactive
from saescope.home import RUN_OF, Home
from saescope.records import Label, Score
from saescope.store import catalogue, jobs, looking, open_database
from saescope.store.features import MEASURES, FeatureStore
from saescope.store.labels import add_labels, add_scores, choose_label, label_history
from saescope.store.metrics import LINES, MetricLines
from saescope.web.app import openapi
from support.llm_server import llm_server
from support.served import FEATURES, TOKEN

E = "/api/extractions/topk-64-sotu"


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    with TestClient(app, base_url="http://127.0.0.1:8420", headers=bearer) as client:
        yield client


def indices(answer: dict) -> list[int]:
    return [row["index"] for row in answer["features"]]


def test_things_are_listed_and_shown(client: TestClient) -> None:
    assert client.get("/api/health").json()["ok"] is True
    for kind, name in (("datasets", "sotu"), ("models", "smol"), ("saes", "topk-64"), ("extractions", "topk-64-sotu")):
        assert [record["name"] for record in client.get(f"/api/{kind}").json()] == [name]
    assert {point["name"] for point in client.get("/api/models/smol").json()["hookpoints"]} == {
        "embed", "layers.0.resid_post",
    }  # fmt: skip


def test_a_page_is_sorted_by_two_keys_and_filtered(client: TestClient) -> None:
    page = client.get(f"{E}/features", params={"sort": "-max,index", "where": "not dead", "limit": 5}).json()
    alive = [index for index in range(FEATURES) if index % 7 != 6]
    assert page["total"] == FEATURES
    assert page["matching"] == len(alive)
    assert indices(page) == sorted(alive, key=lambda index: (-(index % 3), index))[:5]
    assert page["features"][0]["label_source"] == "lexical"
    assert page["features"][0]["histogram"]


def test_missing_numbers_come_last_in_either_direction(client: TestClient) -> None:
    for sort in ("mean", "-mean"):
        page = client.get(f"{E}/features", params={"sort": sort, "limit": FEATURES}).json()
        dead = [row["dead"] for row in page["features"]]
        assert dead == sorted(dead)


def test_a_feature_is_found_among_the_others(client: TestClient) -> None:
    asked = {"sort": "-index", "limit": 0, "around": 10}
    page = client.get(f"{E}/features", params=asked).json()
    assert page["position"] == FEATURES - 11
    assert page["features"] == []
    assert client.get(f"{E}/features", params=asked | {"where": "index<5"}).json()["position"] is None


def test_points_and_matching_agree_with_the_list(client: TestClient) -> None:
    client.put(f"{E}/features/3/star")
    points = client.get(f"{E}/points").content
    assert len(points) == 17 * FEATURES
    assert np.flatnonzero(np.frombuffer(points[16 * FEATURES :], np.uint8)).tolist() == [3]
    bits = np.frombuffer(client.get(f"{E}/matching", params={"where": "dead"}).content, np.uint8)
    held = np.flatnonzero(np.unpackbits(bits, bitorder="little")).tolist()
    assert held == indices(client.get(f"{E}/features", params={"where": "dead", "limit": FEATURES}).json())


@pytest.mark.parametrize("stratum", [None, "top", "q4"])
def test_examples_are_those_of_the_store_with_their_tokens(
    client: TestClient, app: FastAPI, stratum: str | None
) -> None:
    _, browse = app.state.site.browse("topk-64-sotu")
    for index in range(FEATURES):
        expected = looking.show_examples(browse.store, browse.strings, index, stratum)
        shown = client.get(f"{E}/features/{index}/examples", params={"stratum": stratum} if stratum else {}).json()
        assert shown == expected
        if stratum is None:
            assert client.get(f"{E}/features/{index}").json()["examples"] == expected


def test_stars_notes_and_labels_are_kept_and_shown(client: TestClient) -> None:
    assert client.put(f"{E}/features/5/star").status_code == 204
    assert client.put(f"{E}/features/5/note", json={"text": "odd"}).json()["text"] == "odd"
    assert client.post(f"{E}/features/5/labels", json={"text": " my  own "}).status_code == 201
    shown = client.get(f"{E}/features/5").json()
    assert shown["starred"] is True
    assert shown["note"]["text"] == "odd"
    assert (shown["label"], shown["label_source"]) == ("my own", "person")
    assert indices(client.get(f"{E}/features", params={"where": "starred"}).json()) == [5]
    first = shown["labels"][-1]
    client.put(f"{E}/features/5/label", json={"id": first["id"]})
    assert client.get(f"{E}/features/5").json()["label"] == first["text"]
    assert client.delete(f"{E}/features/5/star").status_code == 204
    assert client.put(f"{E}/features/5/note", json={"text": ""}).json() is None
    shown = client.get(f"{E}/features/5").json()
    assert (shown["starred"], shown["note"]) == (False, None)


def test_a_list_and_a_feature_show_the_same_score(client: TestClient, home: Home) -> None:
    with open_database(home) as db:
        extraction = catalogue.extraction(db, "topk-64-sotu").id
        label = label_history(db, extraction, 7)[0]
        assert label.id is not None
        add_scores(db, label.id, {"detection": Score(0.75, 20, 0.5, 0.9, 0.5)})
    rows = client.get(f"{E}/features", params={"sort": "-score,index", "limit": FEATURES}).json()["features"]
    assert [row["index"] for row in rows[:2]] == [7, 0]
    for index, score in ((7, 0.75), (0, 0.5)):
        listed = next(row for row in rows if row["index"] == index)
        assert listed["score"] == client.get(f"{E}/features/{index}").json()["score"] == score
    points = np.frombuffer(client.get(f"{E}/points").content[: 16 * FEATURES], "<f4").reshape(4, FEATURES)
    assert points[3, 7] == 0.75


def test_what_did_not_change_is_not_sent_again(client: TestClient) -> None:
    first = client.get(f"{E}/features/5")
    again = {"If-None-Match": first.headers["etag"]}
    assert client.get(f"{E}/features/5", headers=again).status_code == 304
    client.put(f"{E}/features/5/star")
    assert client.get(f"{E}/features/5", headers=again).status_code == 200


def test_a_download_holds_exactly_what_the_list_shows(client: TestClient) -> None:
    asked = {"where": "index<9", "sort": "-index", "format": "jsonl"}
    answer = client.get(f"{E}/export", params=asked)
    assert "topk-64-sotu.jsonl" in answer.headers["content-disposition"]
    assert [json.loads(line)["index"] for line in answer.text.splitlines()] == list(range(8, -1, -1))


def test_every_error_has_the_one_shape(client: TestClient) -> None:
    for method, path, status in (
        ("GET", "/api/nothing", 404),
        ("GET", "/api/datasets/none", 404),
        ("GET", f"{E}/features/{FEATURES}", 404),
        ("GET", f"{E}/features?sort=colour", 400),
        ("GET", f"{E}/features?limit=many", 422),
        ("PUT", f"{E}/features/{FEATURES}/star", 404),
        ("DELETE", "/api/models/smol", 400),
        ("POST", "/api/jobs", 422),
        ("GET", "/api/jobs/none/events", 404),
        ("GET", "/api/specs/dance", 400),
    ):
        answer = client.request(method, path)
        assert answer.status_code == status, path
        assert set(answer.json()["error"]) == {"kind", "message", "hint"}, path


def test_a_job_is_queued_watched_and_cancelled(client: TestClient, home: Home) -> None:
    asked = {"verb": "add_dataset", "spec": {"name": "new", "source": "nothing.txt"}}
    job = client.post("/api/jobs", json=asked).json()
    assert [each["id"] for each in client.get("/api/jobs").json()] == [job["id"]]
    with open_database(home) as db:
        mine = jobs.claim(db, "device", "me")
        assert mine is not None
        jobs.say(db, mine, "hello")
        jobs.end(db, mine, "failed", error={"kind": "x", "message": "y", "hint": ""})
    told = client.get(f"/api/jobs/{job['id']}/events").text
    assert '"text":"hello"' in told
    assert '"state":"failed"' in told
    assert client.post(f"/api/jobs/{job['id']}/resume").json()["state"] == "queued"
    assert client.post(f"/api/jobs/{job['id']}/cancel").json()["state"] == "cancelled"
    assert client.post("/api/jobs", json={"verb": "fire_text", "spec": {"extraction": "e", "text": "t"}}).is_error


def test_the_curves_of_a_training_are_there_while_it_runs(client: TestClient, home: Home) -> None:
    asked = {"verb": "train_sae", "spec": {"model": "smol", "dataset": "sotu", "hookpoint": "embed", "name": "new"}}
    job = client.post("/api/jobs", json=asked).json()
    assert client.get(f"/api/jobs/{job['id']}/metrics").json() == []
    folder = home.work / "train-0"
    (folder / "step-000000020").mkdir(parents=True)
    (folder / RUN_OF).write_text(job["id"])
    lines = MetricLines(folder)
    for step in (10, 20, 30):
        lines.add({"step": step, "tokens": step * 64, "fvu": 1 / step, "dead": 0, "densities": [1, 2]})
    (run,) = client.get(f"/api/jobs/{job['id']}/metrics").json()
    assert run["checkpoints"] == [20]
    assert run["metrics"]["step"] == [10, 20, 30]
    assert run["metrics"]["ce_recovered"] == [None] * 3
    assert "densities" not in run["metrics"]
    assert client.get("/api/jobs/none/metrics").status_code == 404


def test_fire_answers_with_what_is_active_and_where(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def worker(home: Home, verb: str, spec: dict, timeout: float) -> Iterator[dict]:
        assert verb == "fire_long_text"
        assert spec["longest"] == 2048
        features = [{"index": 4, "label": None, "max": 2.0, "positions": [1], "values": [2.0]}]
        told = {"tokens": ["<s>", spec["text"]], "token_ids": [0, 7], "special": [True, False], "truncated_to": 2}
        yield {"result": told | {"features": features}}

    monkeypatch.setattr(interactive, "ask", worker)
    answer = client.post("/api/fire", json={"extraction": "topk-64-sotu", "text": "hm"}).json()
    assert answer["tokens"] == ["<s>", "hm"]
    assert [(each["index"], each["positions"], each["values"]) for each in answer["features"]] == [(4, [1], [2.0])]
    assert (answer["special"], answer["truncated_to"], answer["active"]) == ([True, False], 2, 1)
    none = client.post("/api/fire", json={"extraction": "topk-64-sotu", "text": "hm", "features": [5]}).json()
    assert none["features"] == []


def test_steering_is_told_token_by_token(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def worker(*_: object) -> Iterator[dict]:
        yield {"token": {"run": "original", "id": 3, "token": " a", "logprob": -0.5}}
        yield {"result": {"original": " a", "steered": " b", "original_logprobs": [-0.5], "steered_logprobs": [-1]}}

    monkeypatch.setattr(interactive, "ask", worker)
    edits = [{"feature": 1, "mode": "ablate", "amount": 0}]
    told = client.post("/api/steer", json={"sae": "topk-64", "prompt": "x", "edits": edits}).text
    assert [line for line in told.splitlines() if line.startswith("event")] == ["event: token", "event: done"]
    assert '"logprob":-0.5' in told
    assert '"steered":{"text":" b","logprobs":[-1]}' in told


@pytest.mark.parametrize(
    "body",
    [
        b'{"x": 123456789012345678901234567890}',
        b'{"x": "\\ud800"}',
        b'{"x": ' + b"[" * 900 + b"]" * 900 + b"}",
        b'{"x": 1e999}',
        b'{"x": NaN}',
        b"[" * 100_000,
        b"\xff\xfe",
        b'"x"',
        b"",
    ],
)
def test_settings_of_any_kind_end_in_no_fault(client: TestClient, body: bytes) -> None:
    kept = client.put("/api/settings", content=body, headers={"content-type": "application/json"})
    assert kept.status_code < 500
    assert client.get("/api/settings").status_code == 200


@pytest.mark.parametrize(
    "spec",
    [
        {"tokens": 10**30},
        {"tokens": 1e400},
        {"name": "\ud800"},
        {"name": "\0"},
        {"d_sae": "many"},
        {"saes": 3},
        {"model": ["smol"]},
    ],
)
@pytest.mark.parametrize("verb", ["train_sae", "train_saes", "extract_features", "label_features", "run_demo"])
@pytest.mark.parametrize("path", ["/api/jobs", "/api/estimate"])
def test_specs_of_any_kind_end_in_no_fault(client: TestClient, path: str, verb: str, spec: dict) -> None:
    train = {"model": "smol", "dataset": "sotu", "hookpoint": "embed", "kind": "topk", "d_sae": 64, "tokens": 1000}
    body = json.dumps({"verb": verb, "spec": train | spec})
    answer = client.post(path, content=body, headers={"content-type": "application/json"})
    assert answer.status_code < 500 or answer.json()["error"]["kind"] == "unreachable"
    assert client.get("/api/jobs").status_code == 200


def test_a_fault_of_ours_is_printed_here_and_tells_others_nothing(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a secret of the inside")

    bearer = {"Authorization": f"Bearer {TOKEN}"}
    monkeypatch.setattr(jobs, "jobs", broken)
    with TestClient(app, "http://127.0.0.1:8420", raise_server_exceptions=False, headers=bearer) as client:
        answer = client.get("/api/jobs?verb=private")
    assert answer.status_code == 500
    assert set(answer.json()["error"]) == {"kind", "message", "hint"}
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    assert "a secret of the inside" in caplog.text
    assert "private" not in caplog.text


def test_a_stream_that_breaks_says_so_in_its_last_event(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {"verb": "add_dataset", "spec": {"name": "new", "source": "nothing.txt"}}
    job = client.post("/api/jobs", json=asked).json()["id"]

    def broken(*_: object) -> None:
        raise RuntimeError("a secret of the inside")

    monkeypatch.setattr(jobs, "lines", broken)
    told = client.get(f"/api/jobs/{job}/events").text
    assert told.startswith("event: error")
    assert "secret" not in told


def test_a_question_without_a_worker_says_so(client: TestClient) -> None:
    answer = client.post("/api/fire", json={"extraction": "topk-64-sotu", "text": "hm"})
    assert answer.status_code == 503
    assert answer.json()["error"]["kind"] == "unreachable"


def test_estimates_are_asked_for_as_such(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def worker(home: Home, verb: str, spec: dict, timeout: float) -> Iterator[dict]:
        yield {"result": {"verb": verb, "spec": spec}}

    monkeypatch.setattr(interactive, "ask", worker)
    train = {"model": "smol", "dataset": "sotu", "hookpoint": "embed", "kind": "topk", "d_sae": 64, "tokens": 1000}
    for verb, spec in (("extract_features", {"saes": ["topk-64"], "dataset": "sotu"}), ("train_sae", train)):
        told = client.post("/api/estimate", json={"verb": verb, "spec": spec}).json()
        assert told["verb"] == verb
        assert told["spec"]["estimate"] is True
    refused = client.post("/api/estimate", json={"verb": "add_model", "spec": {"name": "m", "source": "m"}})
    assert refused.status_code == 400


def test_neighbours_come_from_the_table_or_from_the_worker(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def worker(home: Home, verb: str, spec: dict, timeout: float) -> Iterator[dict]:
        asked.append((verb, spec))
        yield {"result": {"neighbors": [{"index": 9, "cosine": 0.5, "label": None}]}}

    monkeypatch.setattr(interactive, "ask", worker)
    held = client.get(f"{E}/features/5/neighbors").json()["neighbors"]
    assert held == [{"index": 0, "cosine": 0.0, "label": "label 0"}]
    monkeypatch.setattr(FeatureStore, "feature", lambda *_: {"neighbor_ids": [], "neighbor_cosines": []})
    assert client.get(f"{E}/features/5/neighbors").json()["neighbors"][0]["index"] == 9
    assert asked == [("find_neighbors", {"extraction": "topk-64-sotu", "feature": 5})]


def test_the_demo_is_one_job_however_often_it_is_asked_for(client: TestClient) -> None:
    first = client.post("/api/demo")
    assert (first.status_code, first.json()["verb"]) == (201, "run_demo")
    again = client.post("/api/demo")
    assert (again.status_code, again.json()["id"]) == (200, first.json()["id"])


def test_a_trainings_metrics_are_told_while_it_runs(client: TestClient, home: Home) -> None:
    spec = {"model": "smol", "dataset": "sotu", "hookpoint": "embed", "kind": "topk", "d_sae": 64, "tokens": 1000}
    job = client.post("/api/jobs", json={"verb": "train_sae", "spec": spec}).json()["id"]
    assert client.get(f"/api/jobs/{job}/metrics").json() == []
    run = home.work / "train-x"
    run.mkdir()
    (run / RUN_OF).write_text(job)
    (run / LINES).write_text('{"step": 1, "loss": 0.5}\n{"step": 2, "loss": 0.25}\n{"step": 3, "lo')
    (told,) = client.get(f"/api/jobs/{job}/metrics").json()
    assert told["sae"] is None
    assert (told["metrics"]["step"], told["metrics"]["loss"]) == ([1, 2], [0.5, 0.25])
    (later,) = client.get(f"/api/jobs/{job}/metrics", params={"after": 1}).json()
    assert later["metrics"]["step"] == [2]


def test_what_others_write_is_seen_at_once(client: TestClient, home: Home) -> None:
    row = client.get(f"{E}/features/7").json()
    with open_database(home) as db:
        record = catalogue.extraction(db, "topk-64-sotu")
        add_labels(db, record.id, [Label(7, "newer", "llm", "m", "2027", 0.75, {})])
        page = client.get(f"{E}/features", params={"search": "newer", "sort": "-score"}).json()
        assert [(each["index"], each["score"]) for each in page["features"]] == [(7, 0.75)]
        newest = client.get(f"{E}/features/7").json()["labels"][0]
        add_scores(db, newest["id"], {"detection": Score(0.9, 20, 0.7, 1.0, 0.5)})
        found = client.get(f"{E}/features", params={"where": "detection>0.8"}).json()
        assert indices(found) == [7]
        choose_label(db, record.id, 7, row["labels"][0]["id"])
        assert client.get(f"{E}/features", params={"search": "newer"}).json()["matching"] == 0
        FeatureStore(home.artifact("extractions", record.id)).write_measures(
            {name: np.linspace(0, 1, FEATURES) for name in MEASURES}
        )
    found = client.get(f"{E}/features", params={"sort": f"-{MEASURES[0]}", "limit": 2}).json()
    assert indices(found) == [FEATURES - 1, FEATURES - 2]


def test_search_finds_features_and_things(client: TestClient) -> None:
    found = client.get("/api/search", params={"q": "label 12", "extraction": "topk-64-sotu"}).json()
    assert [row["index"] for row in found["features"]["items"]] == [12]
    assert client.get("/api/search", params={"q": "sotu"}).json()["datasets"] == {"total": 1, "items": ["sotu"]}


def test_uploads_lie_in_the_home_under_names_of_its_own(client: TestClient, home: Home) -> None:
    kept = client.post("/api/uploads", params={"name": "../../x.txt"}, content=b"words").json()
    assert kept["path"].startswith(str(home.root / "uploads"))
    assert Path(kept["path"]).read_bytes() == b"words"
    assert client.post("/api/uploads", params={"name": "x.pkl"}, content=b"words").status_code == 400


def test_settings_are_kept(client: TestClient) -> None:
    client.put("/api/settings", json={"context": 64})
    assert client.get("/api/settings").json()["context"] == 64
    client.put("/api/settings", json={"context": None})
    assert "context" not in client.get("/api/settings").json()


def test_the_description_names_every_resource() -> None:
    paths = openapi()["paths"]
    assert {"/api/fire", "/api/steer", "/api/jobs/{id}/events", "/api/extractions/{extraction}/features"} <= set(paths)


def test_the_web_loads_no_torch_and_stays_small(home: Home) -> None:
    program = (
        "import sys, psutil\n"
        "from saescope.home import Home\n"
        "from saescope.web.app import create_app\n"
        f"site = create_app(Home({str(home.root)!r}), 'token').state.site\n"
        "browse = site.browse('topk-64-sotu')[1]\n"
        "browse.rows(browse.order(search='label', sort='-score'))\n"
        "print('torch' in sys.modules, psutil.Process().memory_info().rss >> 20)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    torch, megabytes = done.stdout.split()
    assert torch == "False"
    assert int(megabytes) < 250


def test_an_open_address_needs_a_password(home: Home) -> None:
    words = [sys.executable, "-m", "saescope.web", "--home", str(home.root), "--host", "0.0.0.0", "--port", "0"]
    done = subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 2
    assert "no password" in done.stderr


def test_a_key_goes_in_and_never_comes_out(client: TestClient, home: Home) -> None:
    key = "sk-canary-77aa"
    with llm_server(answer=lambda system, user: '{"answers": [1, 0]}') as server:
        asked = {"name": "there", "url": server.url, "model": "m", "key": key, "price_in": 1, "price_out": 2}
        added = client.post("/api/llm", json=asked)
        assert (added.status_code, added.json()["key"]) == (201, "file")
        said = [added.text, client.get("/api/llm").text, client.get("/api/settings").text]
        tested = client.post("/api/llm/there/test")
        assert tested.json()["json"] is True
        assert tested.json()["cost"] == pytest.approx((server.tokens_in + 2 * server.tokens_out) / 1e6)
        assert server.headers[0]["authorization"] == f"Bearer {key}"
        [spent] = client.get("/api/llm/spending").json()
        assert spent["states"] == {"answered": 1}
        said += [tested.text, json.dumps(spent), client.post("/api/llm", json=asked).text]
        assert client.delete("/api/llm/there").status_code == 204
    assert client.get("/api/llm").json() == []
    assert not [text for text in said if key in text]
    assert list(home.keys.iterdir()) == []


@pytest.mark.parametrize(
    "wrong", [{"url": "ftp://x"}, {"name": "a/b"}, {"model": ""}, {"key": "a b"}, {"price_in": 1}, {"key": "x" * 9000}]
)
def test_an_endpoint_that_cannot_be_is_refused_without_its_key(client: TestClient, wrong: dict) -> None:
    asked = {"name": "there", "url": "https://api.example/v1", "model": "m", "key": "sk-canary-77aa"} | wrong
    answer = client.post("/api/llm", json=asked)
    assert answer.status_code in (400, 422)
    assert asked["key"] not in answer.text
    assert client.get("/api/llm").json() == []


def test_a_label_job_with_a_budget_is_queued_and_its_estimate_and_prompt_are_the_workers(client: TestClient) -> None:
    spec = {"extraction": "topk-64-sotu", "explainer": "llm", "llm": "there", "budget": "1.50", "features": "3"}
    queued = client.post("/api/jobs", json={"verb": "label_features", "spec": spec})
    assert (queued.status_code, queued.json()["lane"]) == (201, "llm")
    assert queued.json()["spec"]["budget"] == "1.50"
    wrong = {"verb": "label_features", "spec": spec | {"estimate": True}}
    assert client.post("/api/jobs", json=wrong).status_code == 400
    for path, body in (
        ("estimate", {"verb": "label_features", "spec": spec}),
        ("prompt", {"extraction": "topk-64-sotu", "feature": 3}),
    ):
        answer = client.post(f"/api/{path}", json=body)
        assert (answer.status_code, answer.json()["error"]["kind"]) == (503, "unreachable")
