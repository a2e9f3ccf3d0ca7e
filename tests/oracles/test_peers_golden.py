"""Our activations and strongest examples against those SAEDashboard and delphi found on the same tiny work.

Written by benchmarks/peers/golden.py, which runs both; docs/oracles.md says what may differ and why.
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from saescope.extraction.state import ExtractionState, Settings
from saescope.extraction.sweep import Reader, sweep
from saescope.extraction.tables import example_tables
from saescope.models.load import load_model
from saescope.sae import load_sae

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "peers"
sys.path.append(str(ROOT / "benchmarks" / "peers"))

from agree import read_activations, strongest_of  # noqa: E402
from comparison import Agreement, Ours, compare  # noqa: E402
from setting import Found, Setting  # noqa: E402

TOOLS = ("saedashboard", "delphi")


class Rows:
    """The golden tokens as a sweep reads them."""

    def __init__(self, setting: Setting) -> None:
        self.tokens = np.load(GOLDEN / "tokens.npy", allow_pickle=False)
        self.samples, self.context = self.tokens.shape
        self.lengths = np.full(self.samples, self.context, dtype=np.int32)
        self.special = setting.special

    def valid(self, rows, *, include_special=False):
        valid = ~np.isin(self.tokens[rows], self.special)
        valid[:, 0] = False
        return valid


@pytest.fixture(scope="module")
def ours() -> Ours:
    """An extraction of the golden work."""
    setting = Setting.read(GOLDEN)
    rows, model, sae = Rows(setting), load_model(GOLDEN / "model"), load_sae(GOLDEN / "saelens")
    state = ExtractionState(Settings(d_sae=sae.d_sae, top_k=100))
    with torch.inference_mode():
        for _ in sweep(model.read, [Reader(sae, setting.hookpoint, state)], rows):
            pass
    examples = pa.concat_tables(example_tables(state, rows))
    columns = (examples[name].to_pylist() for name in ("stratum", "feature", "sample", "peak", "activation"))
    top = [row[1:] for row in zip(*columns, strict=True) if row[0] == "top"]
    return read_activations(setting, model, sae, rows.tokens, strongest_of(top), 100)


def found_by(tool: str) -> Found:
    return Found.read(GOLDEN / f"found-{tool}.npz")


def compared(ours: Ours, found: Found) -> Agreement:
    agreement = compare(ours, found)
    assert agreement.counts["active there"] > 2000
    return agreement


@pytest.mark.parametrize("tool", TOOLS)
def test_activations_and_strongest_examples_are_theirs(tool: str, ours: Ours) -> None:
    agreement = compared(ours, found_by(tool))
    assert agreement.problems == []
    assert agreement.counts["examples compared"] > 150
    assert agreement.largest_relative_to_input < 1e-6


def test_delphi_keeps_every_sample_that_we_keep(ours: Ours) -> None:
    """Its windows reach every active sample, and at 32 samples so do our 100 examples: nothing is out of sight."""
    agreement = compare(ours, found_by("delphi"))
    kept = sum(len(examples) for feature, examples in ours.strongest.items() if feature in ours.setting.features)
    assert agreement.counts["examples compared"] == kept


@pytest.mark.parametrize("tool", TOOLS)
def test_another_value_does_not_pass(tool: str, ours: Ours) -> None:
    found = found_by(tool)
    value = found.value.copy()
    strongest = int(value.argmax())
    value[strongest] *= 1.002
    assert len(compare(ours, replace(found, value=value)).problems) >= 1


@pytest.mark.parametrize("tool", TOOLS)
def test_an_example_that_is_missing_does_not_pass(tool: str, ours: Ours) -> None:
    found = found_by(tool)
    feature, sample = found.example_feature[0], found.example_sample[0]
    kept = (found.example_feature != feature) | (found.example_sample != sample)
    names = ("example_feature", "example_sample", "example_start", "example_stop")
    fewer = replace(found, **{name: getattr(found, name)[kept] for name in names})
    problems = compare(ours, fewer).problems
    assert any(f"feature {feature}: sample {sample} " in each and "not among theirs" in each for each in problems)


@pytest.mark.parametrize("tool", TOOLS)
def test_a_feature_without_any_example_does_not_pass(tool: str, ours: Ours) -> None:
    found = found_by(tool)
    feature = found.example_feature[0]
    kept = found.example_feature != feature
    names = ("example_feature", "example_sample", "example_start", "example_stop")
    fewer = replace(found, **{name: getattr(found, name)[kept] for name in names})
    assert len(compare(ours, fewer).problems) == len(ours.strongest[feature])


@pytest.mark.parametrize("tool", TOOLS)
def test_an_example_of_ours_that_is_missing_does_not_pass(tool: str, ours: Ours) -> None:
    found = found_by(tool)
    feature = int(found.example_feature[0])
    fewer = {**ours.strongest, feature: ours.strongest[feature][1:]}
    problems = compare(replace(ours, strongest=fewer), found).problems
    assert any("is not among ours" in problem for problem in problems)


def test_another_density_does_not_pass(ours: Ours) -> None:
    found = found_by("saedashboard")
    other = replace(found, density=found.density + 0.06)
    assert len(compare(ours, other).problems) == len(ours.setting.features)


@pytest.mark.parametrize("tool", TOOLS)
def test_a_missing_activation_passes_only_on_an_edge(tool: str, ours: Ours) -> None:
    found = found_by(tool)
    feature = np.searchsorted(ours.setting.features, found.row_feature[found.value_row])
    sample = found.row_sample[found.value_row]
    at = (feature, sample, found.value_position)
    weakest = int(np.where(ours.valid[at[1:]], found.value, np.inf).argmin())
    kept = np.arange(len(found.value)) != weakest
    names = ("value_row", "value_position", "value")
    fewer = replace(found, **{name: getattr(found, name)[kept] for name in names})
    assert compare(ours, fewer).problems
    margins = ours.margins.copy()
    margins[tuple(axis[weakest] for axis in at)] = 0
    agreement = compare(replace(ours, margins=margins), fewer)
    assert agreement.counts["edge"] == 1
    assert agreement.problems == []
