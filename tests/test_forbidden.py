"""The check that `make check` runs finds what it is there for, and nothing in our own code."""

from pathlib import Path

import pytest

from forbidden import forbidden

SRC = Path(__file__).parents[1] / "src"


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "import dill as d",
        "from pickle import loads",
        "from torch import load",
        "import torch\nweights = torch.load('ae.pt')",
        "import torch\nread = torch.load",
        "eval('1')",
        "run = exec",
        "import yaml\nyaml.load(text)",
        "import yaml\nyaml.load(text, Loader=yaml.SafeLoader)",
        "AutoModel.from_pretrained('x', trust_remote_code=True)",
        "AutoModel.from_pretrained('x', trust_remote_code=asked)",
        "options = {'trust_remote_code': True}",
        "import numpy as np\nnp.load('x.npz', allow_pickle=True)",
    ],
)
def test_what_runs_code_of_a_file_is_found(line: str) -> None:
    assert list(forbidden(line))


@pytest.mark.parametrize(
    "line",
    [
        "# torch.load and pickle, in words only",
        "'''eval(x)'''",
        "import yaml\nyaml.safe_load(text)",
        "AutoModel.from_pretrained('x', trust_remote_code=False)",
        "model.eval()",
        "import re\nre.compile('x')",
        "import ast\nast.literal_eval('1')",
    ],
)
def test_what_does_not_is_let_through(line: str) -> None:
    assert not list(forbidden(line))


def test_nothing_in_our_own_code_does() -> None:
    found = {path.name: list(forbidden(path.read_text())) for path in SRC.rglob("*.py")}
    assert {name: what for name, what in found.items() if what} == {}
