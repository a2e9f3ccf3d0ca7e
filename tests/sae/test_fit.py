"""What an SAE is tried in, on rows made of its own features and then scaled, centred or normalised away."""

from dataclasses import replace

import pytest
import torch

from saescope.sae import KINDS, Sae, SaeConfig
from saescope.sae.fit import Trial, dressed, measure

D_IN = D_SAE = 24


def make(**changes: object) -> tuple[Sae, torch.Tensor]:
    """An SAE with a threshold, and 700 rows it reconstructs almost exactly."""
    generator = torch.Generator().manual_seed(2)
    rows = torch.linalg.qr(torch.randn(D_IN, D_SAE, generator=generator)).Q.T.contiguous()
    bias = torch.randn(D_IN, generator=generator) * 0.3
    weights = {
        "W_enc": rows.T.contiguous(),
        "b_enc": torch.zeros(D_SAE),
        "W_dec": rows,
        "b_dec": bias,
        "threshold": torch.full((D_SAE,), 2.0),
    }
    one = torch.randint(D_SAE, (700,), generator=generator)
    x = rows[one] * (4 + 2 * torch.rand(700, 1, generator=generator)) + bias
    cfg = replace(SaeConfig("jumprelu", D_IN, D_SAE), **changes)  # type: ignore[arg-type]
    return KINDS["jumprelu"](cfg, weights), x


def best(sae: Sae, x: torch.Tensor) -> Trial:
    return min(dressed(sae, x), key=lambda trial: trial.probe.fvu)


def test_what_fits_is_measured_as_fitting() -> None:
    sae, x = make()
    probe = measure(sae, x)
    assert probe.fvu < 0.1
    assert probe.tokens == 700
    torch.testing.assert_close(probe.l0, len(sae.active(x).rows) / 700)
    assert measure(sae, x, y=x * 2).fvu > 0.1


@pytest.mark.parametrize("scale", [1 / 64, 1 / 7, 40.0])
def test_a_scale_is_found(scale: float) -> None:
    sae, x = make()
    trial = best(sae, x * scale)
    assert trial.scale is not None
    assert 0.8 < trial.scale * scale < 1.25
    assert trial.probe.fvu < 0.1


def test_rows_of_one_length_are_recognised() -> None:
    sae, x = make()
    length = x.norm(dim=1, keepdim=True) / D_IN**0.5
    sae.threshold.data /= float(length.mean())
    sae.b_dec.data /= float(length.mean())
    chance = torch.exp(torch.randn(700, 1, generator=torch.Generator().manual_seed(1)) * 2) * 0.02
    assert best(sae, x * chance).what == "rows normalised (constant_norm_rescale)"


def test_an_input_that_b_dec_should_not_be_subtracted_from_is_recognised() -> None:
    sae, x = make(apply_b_dec_to_input=False)
    assert isinstance(sae, KINDS["jumprelu"])
    sae.b_dec.data *= 8
    centred = x - sae.b_dec / 8 + sae.b_dec
    trials = {trial.what: trial.probe.fvu for trial in dressed(sae, centred)}
    assert trials["b_dec subtracted from the input"] < 0.1
    assert trials["b_dec subtracted from the input"] < measure(sae, centred).fvu


def test_centred_rows_are_measured_on_centred_rows() -> None:
    sae, x = make()
    shifted = x - x.mean(1, keepdim=True)
    trials = {trial.what.split(":")[0]: trial.probe.fvu for trial in dressed(sae, shifted + 100)}
    torch.testing.assert_close(trials["rows centred"], measure(sae, shifted).fvu, rtol=1e-3, atol=1e-3)
