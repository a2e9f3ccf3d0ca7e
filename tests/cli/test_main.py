"""Every way a command can end, and the options that stand anywhere."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import saescope as package
from saescope.errors import BrokenHome, Interrupted, NotFound
from saescope.specs import AddDataset, ExtractFeatures, SteerText, TrainSae

ROOT = Path(__file__).parents[2]
HEAVY = {"torch", "transformers", "sqlalchemy", "pyarrow", "datasets", "pydantic"}


def test_the_version_is_the_package_s(saescope):
    assert saescope("--version")[:2] == (0, f"saescope {package.__version__}\n")


@pytest.mark.parametrize("arguments", [[], ["--help"], ["train", "--help"], ["features", "list", "-h"]])
def test_help_is_printed_and_is_no_error(saescope, arguments):
    code, out, err = saescope(*arguments)
    assert (code, err) == (0, "")
    assert "Usage: saescope" in out


def test_a_group_alone_prints_its_help(saescope):
    code, out, err = saescope("features")
    assert code == 2
    assert "fire" in out + err
    assert "rror" not in err


@pytest.mark.parametrize(
    "program",
    ["from saescope.cli.main import main; main(['--help'])", "import saescope", "import saescope.errors"],
)
def test_nothing_heavy_is_loaded_for_help_or_import(program):
    answer = subprocess.run(
        [sys.executable, "-c", f"{program}\nimport sys; print(*sys.modules, file=sys.stderr)"],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    assert not HEAVY & set(answer.stderr.split())


def test_the_module_runs_like_the_command():
    answer = subprocess.run(
        [sys.executable, "-m", "saescope", "--version"], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert answer.stdout == f"saescope {package.__version__}\n"


def test_the_package_gives_specs_and_nothing_unknown():
    assert package.TrainSae is TrainSae
    assert "open" in dir(package)
    with pytest.raises(AttributeError, match="nothing_such"):
        package.nothing_such  # noqa: B018


@pytest.mark.parametrize(
    "arguments",
    [
        ("--json", "dataset", "show", "sotu"),
        ("dataset", "--json", "show", "sotu"),
        ("dataset", "show", "sotu", "--json"),
        ("dataset", "show", "--json", "sotu"),
    ],
)
def test_json_is_taken_before_and_after_the_verb(saescope, arguments):
    code, out, err = saescope(*arguments)
    assert (code, err) == (0, "")
    assert json.loads(out)["documents"] == 249


@pytest.mark.parametrize(
    "arguments", [("--home", "H 1", "dataset", "show", "sotu"), ("dataset", "show", "sotu", "--home", "H 1")]
)
def test_home_is_taken_before_and_after_the_verb_and_suggested_commands_carry_it(saescope, arguments):
    assert "saescope --home 'H 1' dataset sample sotu" in saescope(*arguments)[1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["trian"], "no such command 'trian'. Did you mean 'train'?"),
        (["train", "--nothing"], "no such option: --nothing"),
        (["train", "--model", "m"], "missing option '--dataset'"),
        (["features", "show", "X"], "missing argument 'INDEX'"),
        (["features", "show", "X", "five"], "invalid value for 'INDEX'"),
        (["features", "--debug"], "missing command"),
    ],
)
def test_a_request_that_cannot_be_parsed_is_one_line_and_exit_2(saescope, arguments, said):
    code, out, err = saescope(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {said}")
    assert err.count("\n") == 1
    assert "--help" in err
    code, out, err = saescope(*arguments, "--json")
    assert (code, err) == (2, "")
    assert json.loads(out)["error"]["kind"] == "bad_value"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["extract", "--sae", "S", "--dataset", "D", "--top-k", "0"], "top-k"),
        (
            ["extract", "--sae", "S", "--dataset", "D", "--vectorization-batch-size", "-3"],
            "vectorization-batch-size",
        ),
        (["train", "--model", "M", "--dataset", "D", "--hookpoint", "h", "--kind", "magic"], "kind"),
        (["dataset", "add", "a/b", "x.txt"], "name"),
        (["steer", "--sae", "S", "--prompt", "p", "--edit", "x"], "edit 'x' cannot be read"),
        (
            ["steer", "--sae", "S", "--prompt", "\udcff", "--edit", "1:ablate"],
            "prompt: these bytes are not text",
        ),
        (["dataset", "show", "nothing"], "no dataset 'nothing'"),
    ],
)
def test_a_wrong_request_is_one_line_and_exit_2(saescope, studio, arguments, said):
    code, out, err = saescope(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {said}")
    assert err.count("\n") == 1
    assert studio.asked == []


def test_a_wrong_request_in_json_is_one_document_on_stdout(saescope):
    code, out, err = saescope("dataset", "show", "nothing", "--json")
    assert (code, err) == (2, "")
    assert json.loads(out) == {
        "error": {"kind": "not_found", "message": "no dataset 'nothing'", "hint": "known datasets: sotu"}
    }


def test_an_unexpected_error_is_our_fault_and_its_traceback_is_saved(saescope, studio, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    studio.failing = ZeroDivisionError("on\nzero")
    code, out, err = saescope("label", "X")
    assert (code, out) == (1, "")
    assert "our fault" in err
    assert err.count("\n") == 1
    (saved,) = tmp_path.iterdir()
    assert str(saved) in err
    assert "Traceback" in saved.read_text()
    code, out, _ = saescope("label", "X", "--json")
    assert (code, json.loads(out)["error"]["kind"]) == (1, "internal")


def test_debug_shows_the_traceback_of_an_unexpected_error(saescope, studio):
    studio.failing = ZeroDivisionError("on zero")
    assert "Traceback" in saescope("label", "X", "--debug")[2]


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (BrokenHome("catalogue too new", "upgrade"), 1, "error: catalogue too new — upgrade\n"),
        (KeyboardInterrupt(), 130, "stopped — what was whole is kept, and nothing half-made is left\n"),
        (Interrupted("at step 40", "give --resume"), 130, "stopped: at step 40 — give --resume\n"),
        (OSError(28, "No space left on device", "/h/x"), 2, "error: no space left at '/h/x' — free some"),
        (PermissionError(13, "Permission denied", "/h"), 2, "error: not allowed at '/h': Permission denied"),
        (MemoryError(), 2, "error: the memory is full"),
        (NotFound("no \x1b[31m\u202ename\n"), 2, "error: no ␛[31m‹202e›name\n"),
    ],
)  # fmt: skip
def test_every_end_has_its_line_and_its_exit_code(saescope, studio, error, code, said):
    studio.failing = error
    ended, out, err = saescope("label", "X")
    assert (ended, out) == (code, "")
    assert err.startswith(said)
    assert err.count("\n") == 1


def test_a_reader_that_leaves_is_no_error():
    program = "import sys; sys.argv[1:] = []\nfrom saescope.cli import common, main, doctor\n"
    program += "class Studio:\n    def doctor(self): return {'checks': [{'name': 'x'*99}] * 9999}\n"
    program += "common.State.studio = Studio()\nsys.exit(main.main(['doctor', '--json']))"
    read, write = os.pipe()
    os.close(read)
    answer = subprocess.run([sys.executable, "-c", program], stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert (answer.returncode, answer.stderr) == (141, "")


def test_flags_become_the_spec(saescope, studio):
    saescope(
        "extract",
        "--sae",
        "A",
        "--sae",
        "B",
        "--dataset",
        "D",
        "--samples",
        "7",
        "--vectorization-batch-size",
        "64",
    )
    saescope("train", "--model", "M", "--dataset", "D", "--hookpoint", "embed", "--lr", "1e-3", "--resume")
    saescope("steer", "--sae", "S", "--prompt", "p", "--edit", "5:add:2", "--edit", "6:ablate", "--where", "prompt")
    saescope("dataset", "add", "sotu", "sotu/*.txt", "--text-field", "body", "--limit", "3")
    extract, train, steer, add = studio.asked
    assert extract == (
        ExtractFeatures(saes=("A", "B"), dataset="D", samples=7, vectorization_batch_size=64),
        {},
    )
    assert train == (TrainSae(model="M", dataset="D", hookpoint="embed", lr=1e-3), {"resume": True})
    assert isinstance(steer[0], SteerText)
    assert [str(edit) for edit in steer[0].edits] == ["5:add:2:max", "6:ablate"]
    assert add[0] == AddDataset(name="sotu", source="sotu/*.txt", text_field="body", limit=3)


def test_features_list_asks_for_a_screenful_and_json_for_all(saescope, studio):
    saescope("features", "list", "X", "--sort", "density", "--order", "desc", "--where", "density<0.01")
    saescope("features", "list", "X", "--json")
    saescope("features", "list", "X", "--json", "--limit", "2")
    assert [options["limit"] for _, options in studio.asked] == [30, None, 2]
    assert studio.asked[0][1] == {
        "sort": "density",
        "order": "desc",
        "where": "density<0.01",
        "search": None,
        "limit": 30,
    }


def test_things_are_removed_by_kind_and_name(saescope, studio):
    for group, kind in (
        ("dataset", "dataset"),
        ("model", "model"),
        ("sae", "sae"),
        ("features", "extraction"),
    ):
        code, out, _ = saescope(group, "remove", "x")
        assert code == 0
        assert out == f"✓ removed {kind} x\n"
    assert [asked[1][0] for asked in studio.asked] == ["dataset", "model", "sae", "extraction"]


def test_numbers_that_are_none_are_null_in_json(saescope):
    def refuse(word: str) -> None:
        raise AssertionError(word)

    _, out, _ = saescope("sae", "list", "--json")
    assert json.loads(out, parse_constant=refuse)["saes"][0]["metrics"] == {"fvu": None}
