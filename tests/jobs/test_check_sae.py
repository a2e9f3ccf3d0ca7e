"""Does it fit, and why not: SAEs made to fit one hookpoint of a tiny model exactly, then put in the wrong place."""

from pathlib import Path
from typing import Any

import pytest
import torch

import saescope
from saescope.errors import BadValue, Mismatch, NotFound
from saescope.sae import KINDS, SaeConfig, save_sae
from saescope.studio import Studio

from .conftest import write_sae, write_transcoder

HOOKPOINT = "layers.1.resid_post"
KEPT = 20
"""Directions of the 32 that the SAE knows."""


@pytest.fixture
def texts(studio: Studio, tmp_path: Path) -> Studio:
    """A home with a dataset of more than one line."""
    words = "the people of this nation work and trade in peace with every state of the union".split()
    order = torch.Generator().manual_seed(0)
    lines = [" ".join(words[i] for i in torch.randint(len(words), (40,), generator=order)) for _ in range(60)]
    (tmp_path / "lines.txt").write_text("\n\n".join(lines))
    studio.run(saescope.AddDataset(name="lines", source=str(tmp_path / "lines.txt")))
    return studio


def activations(studio: Studio, hookpoint: str = HOOKPOINT) -> torch.Tensor:
    dataset = studio.datasets()[-1]
    _, model = studio.context.model("wide")
    rows = studio.context.tokens(dataset, model, 64)
    ids = torch.from_numpy(rows.tokens[:32].astype("int64"))
    valid = torch.from_numpy(rows.valid(slice(0, len(ids))))
    return model.read(ids, [hookpoint])[hookpoint][valid]


def write_fitting(studio: Studio, folder: Path, *, scale: float = 1.0, kind: str = "jumprelu", **changes: Any) -> Path:
    """An SAE of the strongest directions of a hookpoint's activations, as if trained on `scale` times them: a pair of
    features for each direction, active where it counts.
    """
    x = activations(studio) * scale
    mean = x.mean(0)
    directions = torch.linalg.svd(x - mean, full_matrices=False).Vh[:KEPT]
    rows = torch.cat([directions, -directions])
    cfg = SaeConfig(kind, 32, len(rows), **changes)
    weights = {
        "W_enc": rows.T.contiguous(),
        "b_enc": torch.zeros(len(rows)),
        "W_dec": rows,
        "b_dec": mean,
        "threshold": torch.full((len(rows),), 0.05 * float((x - mean).std())),
    }
    save_sae(KINDS[kind](cfg, weights), folder)
    return folder


def check(studio: Studio, sae: str, **options: Any) -> dict[str, Any]:
    fields = {"model": "wide", "dataset": "lines", "hookpoint": HOOKPOINT, "context": 64} | options
    return studio.run(saescope.CheckSae(sae=sae, **fields))


def test_an_sae_that_fits_is_said_to_fit(texts: Studio, tmp_path: Path) -> None:
    found = check(texts, str(write_fitting(texts, tmp_path / "fits")))
    assert found["fits"]
    assert found["reason"] is None
    assert found["fvu"] < 0.2
    assert 0.8 < found["norm_ratio"] < 1.1
    assert {each["what"] for each in found["tried"] if each["reason"] == "layer"} >= {"layers.2.resid_post"}
    assert found["bos"]["norm"] > 0
    assert not found["bos"]["counted"]


def test_a_wrong_layer_is_named_with_the_right_one(texts: Studio, tmp_path: Path) -> None:
    folder = str(write_fitting(texts, tmp_path / "fits"))
    for wrong in ("layers.0.resid_post", "layers.2.resid_post"):
        found = check(texts, folder, hookpoint=wrong)
        assert (found["fits"], found["reason"]) == (False, "layer")
        assert f"--hookpoint {HOOKPOINT}" in found["verdict"]


@pytest.mark.parametrize("scale", [5.0, 30.0])
def test_a_missing_scale_is_named_and_near_the_right_one(scale: float, texts: Studio, tmp_path: Path) -> None:
    folder = str(write_fitting(texts, tmp_path / "scaled", scale=scale))
    found = check(texts, folder)
    assert (found["fits"], found["reason"]) == (False, "normalisation")
    advised = float(found["verdict"].rsplit("--scale ", 1)[1])
    assert 0.5 < advised / scale < 2
    texts.run(saescope.AddSae(name="right", source=folder, model="wide", hookpoint=HOOKPOINT, scale=scale))
    assert check(texts, "right", hookpoint=None)["fits"]


def test_an_activation_function_that_is_missing_is_named(texts: Studio, tmp_path: Path) -> None:
    rows = torch.randn(256, 32, generator=torch.Generator().manual_seed(3))
    weights = {"W_enc": rows.T.contiguous(), "b_enc": torch.zeros(256), "W_dec": rows, "b_dec": torch.zeros(32)}
    save_sae(KINDS["relu"](SaeConfig("relu", 32, 256), weights), tmp_path / "dense")
    found = check(texts, str(tmp_path / "dense"))
    assert not found["fits"]
    assert found["reason"] in ("activation", "normalisation")
    assert found["l0"] > 64


def test_a_model_in_half_precision_is_a_reason_when_nothing_else_is(texts: Studio, tmp_path: Path) -> None:
    folder = write_sae(tmp_path / "random")
    texts.run(saescope.AddModel(name="half", source=texts.models()[0].source, dtype="bfloat16"))
    assert check(texts, str(folder))["reason"] in ("unknown", "layer", "normalisation", "bos")
    found = check(texts, str(folder), model="half")
    assert found["reason"] in ("dtype", "layer", "normalisation", "bos")


def test_activations_that_are_not_finite_are_the_reason(
    texts: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = str(write_fitting(texts, tmp_path / "fits"))
    _, model = texts.context.model("wide")
    read = model.read

    def overflowing(*arguments: Any) -> dict[str, torch.Tensor]:
        return {name: h.half() * 60000 for name, h in read(*arguments).items()}

    monkeypatch.setattr(model, "read", overflowing)
    found = check(texts, folder)
    assert (found["fits"], found["reason"], found["fvu"]) == (False, "dtype", None)


def test_a_transcoder_is_measured_by_what_it_should_write(texts: Studio, tmp_path: Path) -> None:
    folder = str(write_transcoder(tmp_path / "t"))
    found = check(texts, folder, hookpoint="layers.1.mlp_in")
    assert found["hookpoint_out"] == "layers.1.mlp_out"
    assert not found["fits"]
    assert found["fvu"] > 1


def test_what_cannot_be_checked_is_refused(texts: Studio, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        check(texts, "nobody")
    with pytest.raises(BadValue, match="do not say where"):
        check(texts, str(write_sae(tmp_path / "a")), hookpoint=None)
    narrow = {
        "W_enc": torch.ones(8, 4), "b_enc": torch.ones(4), "W_dec": torch.ones(4, 8), "b_dec": torch.ones(8)
    }  # fmt: skip
    save_sae(KINDS["relu"](SaeConfig("relu", 8, 4), narrow), tmp_path / "narrow")
    with pytest.raises(Mismatch, match="reads 8 numbers"):
        check(texts, str(tmp_path / "narrow"))
