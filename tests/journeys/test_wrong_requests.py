"""Every wrong request: one clear line on stderr, exit 2, and a home that is as it was before."""

import json
import os
import shutil
from pathlib import Path

import pytest

from saescope.cli.main import main
from saescope.studio import Studio
from support.tiny import save_tiny_model, tiny_tokenizer


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "documents.jsonl"
    path.write_text('{"text": "one document"}\n{"text": "another"}\n')
    return path


def things(home: Path) -> set[str]:
    """Every whole thing and every leftover in a home, resumable work and caches of tokens aside."""
    found = {
        str(p.relative_to(home))
        for kind in ("datasets", "models", "saes", "extractions")
        for p in (home / "artifacts" / kind).glob("*")
    }
    return found | {p.name for p in (home / "work").iterdir() if not p.name.startswith(("extract-", "train-"))}


def ask(capsys: pytest.CaptureFixture[str], home: Path, *words: object) -> tuple[int, str, str]:
    """Run the command line in this process."""
    code = main([str(word) for word in words] + ["--home", str(home)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def refused(capsys: pytest.CaptureFixture[str], journey: Studio, *words: object) -> str:
    """The line of a refusal, after checking what every refusal promises, with --json and without."""
    home = journey.home.root
    before = things(home)
    code, out, err = ask(capsys, home, *words)
    lines = [line for line in err.splitlines() if line.startswith("error")]
    assert code == 2, (code, out, err)
    assert len(lines) == 1, err
    assert "Traceback" not in err
    assert out == ""
    code, out, _ = ask(capsys, home, *words, "--json")
    assert code == 2
    error = json.loads(out)["error"]
    assert error["kind"]
    assert error["message"] in lines[0]
    assert things(home) == before
    return lines[0]


EXTRACT = ("extract", "--sae", "sae", "--dataset", "text", "--context", 32)
TRAIN = ("train", "--model", "tiny", "--dataset", "text", "--d-sae", 16, "--k", 4, "--tokens", 100, "--context", 32)


def test_unknown_dataset_model_sae_and_extraction_name_what_there_is(capsys, journey: Studio):
    assert "'txet'" in (line := refused(capsys, journey, "extract", "--sae", "sae", "--dataset", "txet"))
    assert "did you mean 'text'" in line
    assert "'nobody'" in refused(capsys, journey, "extract", "--sae", "nobody", "--dataset", "text")
    assert "'huge'" in refused(
        capsys,
        journey,
        "train",
        "--model",
        "huge",
        "--dataset",
        "text",
        "--hookpoint",
        "embed",
        "--d-sae",
        8,
        "--tokens",
        9,
    )
    assert "'lost'" in refused(capsys, journey, "features", "list", "lost")


def test_files_that_are_not_there_not_text_empty_or_without_the_field(capsys, journey: Studio, tmp_path, text):
    assert "missing.txt" in refused(capsys, journey, "dataset", "add", "d", tmp_path / "missing.txt")
    binary = tmp_path / "binary.txt"
    binary.write_bytes(bytes(range(256)) * 20)
    refused(capsys, journey, "dataset", "add", "d", binary)
    empty = tmp_path / "empty.txt"
    empty.write_text("")
    refused(capsys, journey, "dataset", "add", "d", empty)
    line = refused(capsys, journey, "dataset", "add", "d", text, "--text-field", "body")
    assert "body" in line
    assert "text" in line


def test_a_dataset_of_blank_documents_is_refused_and_blank_ones_inside_a_good_one_are_counted(
    capsys, journey: Studio, tmp_path
):
    blank = tmp_path / "blank.jsonl"
    blank.write_text('{"text": " "}\n{"text": ""}\n')
    refused(capsys, journey, "dataset", "add", "d", blank)
    mixed = tmp_path / "mixed.jsonl"
    mixed.write_text('{"text": "words"}\n{"text": "  "}\n')
    code, out, _ = ask(capsys, journey.home.root, "dataset", "add", "mixed", mixed, "--json")
    assert code == 0
    assert json.loads(out)["blank_documents"] == 1
    ask(capsys, journey.home.root, "dataset", "remove", "mixed")


def test_a_context_longer_than_the_models(capsys, journey: Studio):
    line = refused(capsys, journey, "extract", "--sae", "sae", "--dataset", "text", "--context", 1000)
    assert "1000" in line
    assert "64" in line


def test_an_sae_whose_width_is_not_the_hookpoints(capsys, journey: Studio, tmp_path):
    wide = save_tiny_model(tmp_path / "wide", hidden_size=48, head_dim=12)
    assert ask(capsys, journey.home.root, "model", "add", "wide", wide)[0] == 0
    folder = journey.home.artifact("saes", next(sae.id for sae in journey.saes() if sae.name == "sae"))
    line = refused(
        capsys, journey, "sae", "add", "misfit", folder, "--model", "wide", "--hookpoint", "layers.1.resid_post"
    )
    assert "32" in line
    assert "48" in line


def test_a_tokenizer_that_is_not_the_models(capsys, journey: Studio, tmp_path):
    folder = save_tiny_model(tmp_path / "foreign")
    tiny_tokenizer(vocabulary=420).save_pretrained(folder)
    line = refused(capsys, journey, "model", "add", "foreign", folder)
    assert "384" in line


def test_an_unknown_hookpoint_lists_the_known(capsys, journey: Studio):
    line = refused(capsys, journey, *TRAIN, "--hookpoint", "layers.99.resid_post")
    assert "layers" in line
    assert "resid_post" in line


@pytest.mark.parametrize("value", ["0", "-3", "many", "1.5"])
@pytest.mark.parametrize("option", ["--top-k", "--vectorization-batch-size"])
def test_top_k_or_batch_size_that_is_no_positive_number(capsys, journey: Studio, option: str, value: str):
    assert option.lstrip("-") in refused(capsys, journey, *EXTRACT, option, value)


def test_a_name_already_taken(capsys, journey: Studio, text):
    assert "'text'" in refused(capsys, journey, "dataset", "add", "text", text)
    assert "'found'" in refused(capsys, journey, *EXTRACT, "--name", "found")
    assert "'sae'" in refused(capsys, journey, *TRAIN, "--hookpoint", "embed", "--name", "sae")


def test_a_name_that_could_be_a_path(capsys, journey: Studio, text):
    for name in ("../up", "a/b", "", ".hidden", "x" * 101):
        refused(capsys, journey, "dataset", "add", name, text)


def test_a_truncated_or_foreign_safetensors_file(capsys, journey: Studio, tmp_path):
    record = next(sae for sae in journey.saes() if sae.name == "sae")
    for damage in ("cut", "foreign"):
        folder = tmp_path / damage
        shutil.copytree(journey.home.artifact("saes", record.id), folder)
        weights = folder / "sae_weights.safetensors"
        weights.write_bytes(weights.read_bytes()[:5000] if damage == "cut" else b"\x00\x01 not safetensors at all" * 9)
        refused(capsys, journey, "sae", "add", "bad", folder, "--model", "tiny", "--hookpoint", "layers.1.resid_post")


def test_an_sae_that_explains_less_than_nothing_is_stopped_unless_forced(capsys, journey: Studio, tmp_path):
    import torch
    from safetensors.torch import load_file, save_file

    record = next(sae for sae in journey.saes() if sae.name == "sae")
    folder = tmp_path / "shouting"
    shutil.copytree(journey.home.artifact("saes", record.id), folder)
    weights = load_file(folder / "sae_weights.safetensors")
    weights["W_dec"] = torch.randn_like(weights["W_dec"]) * 50
    save_file(weights, folder / "sae_weights.safetensors")
    added = ask(
        capsys,
        journey.home.root,
        "sae",
        "add",
        "shouting",
        folder,
        "--model",
        "tiny",
        "--hookpoint",
        "layers.1.resid_post",
    )
    assert added[0] == 0, added
    line = refused(capsys, journey, "extract", "--sae", "shouting", "--dataset", "text", "--context", 32)
    assert "explains less than nothing" in line
    assert (
        ask(capsys, journey.home.root, "extract", "--sae", "shouting", "--dataset", "text", "--context", 32, "--force")[
            0
        ]
        == 0
    )


def test_a_hub_that_cannot_be_reached_says_what_works_offline(capsys, journey: Studio, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    for words in (("dataset", "add", "d", "hf:some/texts"), ("model", "add", "m", "some/model")):
        assert "local" in refused(capsys, journey, *words) or "offline" in refused(capsys, journey, *words)


def test_steering_requests_that_cannot_be_carried_out(capsys, journey: Studio):
    steer = ("steer", "--sae", "sae", "--prompt", "The people")
    assert "64" in refused(capsys, journey, *steer, "--edit", "64:add:1")
    for edit in ("abc", "1", "1:add", "1:add:much", "1:push:2", "1:add:2:metres"):
        refused(capsys, journey, *steer, "--edit", edit)
    refused(capsys, journey, *steer, "--edit", "1:ablate", "--edit", "1:add:2:raw")


def test_features_and_conditions_that_do_not_exist(capsys, journey: Studio):
    assert "63" in refused(capsys, journey, "features", "show", "found", 64)
    refused(capsys, journey, "features", "list", "found", "--where", "weight<3")
    refused(capsys, journey, "features", "list", "found", "--sort", "weight")
    refused(capsys, journey, "label", "found", "--features", "5-2")
    refused(capsys, journey, "features", "export", "found", "features.xlsx")


@pytest.mark.skipif(os.geteuid() != 0, reason="a small file system can only be mounted by root")
def test_no_space_left_says_so_and_leaves_nothing(capsys, tmp_path, text):
    import subprocess

    home = tmp_path / "small"
    home.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(home)], capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        big = tmp_path / "big.txt"
        big.write_text("".join(f"{number * 7919 % 1000003} " for number in range(600_000)))
        code, _, err = ask(capsys, home, "dataset", "add", "big", big)
        assert code == 2
        assert "no space left" in err.lower()
        assert not list((home / "artifacts").glob("*/*"))
        assert not list((home / "work").iterdir())
        assert ask(capsys, home, "dataset", "add", "small", text)[0] == 0
    finally:
        subprocess.run(["umount", str(home)], check=True)
