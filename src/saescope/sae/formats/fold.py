"""Factors that libraries keep beside their weights, multiplied into them: the steps to canonical form.

All are exact in real numbers; `base.py` says what they mean.
"""

from jaxtyping import Float
from torch import Tensor

from ...errors import BadSource

Weights = dict[str, Tensor]

_SCALED_BY_NORM = ("b_enc", "b_mag", "threshold")


def scale_input(weights: Weights, into: float, out: float | None = None) -> Weights:
    """Trained on x * into, its output divided by `out` (by `into` where it is not given): now on x itself."""
    out = into if out is None else out
    return weights | {
        "W_enc": weights["W_enc"] * into,
        "W_dec": weights["W_dec"] / out,
        "b_dec": weights["b_dec"] / out,
    }


def unwhiten(
    weights: Weights,
    mean: Float[Tensor, "d_in"],
    matrix: Float[Tensor, "d_in d_in"],
    inverse: Float[Tensor, "d_in d_in"],
    *,
    apply_b_dec_to_input: bool,
) -> Weights:
    """Trained on (x - mean) @ matrix, taken back by @ inverse + mean: now on x itself. Worked out in float64."""
    mean, matrix, inverse = mean.double(), matrix.double(), inverse.double()
    folded = weights | {
        "W_enc": matrix @ weights["W_enc"].double(),
        "W_dec": weights["W_dec"].double() @ inverse,
        "b_dec": weights["b_dec"].double() @ inverse + mean,
    }
    if not apply_b_dec_to_input:
        # the mean is subtracted from the input, as a b_dec would be
        biases = uncentred(weights | {"b_dec": mean, "W_enc": folded["W_enc"]})
        folded |= {name: biases[name] for name in ("b_enc", "b_mag") if name in biases}
    return {name: tensor.to(weights[name].dtype) for name, tensor in folded.items()}


def decoder_norms(weights: Weights) -> Float[Tensor, "d_sae"]:
    """The lengths of the decoder rows; BadSource where one is 0 and cannot be made 1."""
    norms = weights["W_dec"].norm(dim=1)
    if bool((norms == 0).any()):
        raise BadSource(
            f"{int((norms == 0).sum())} rows of W_dec are zero, and cannot be rescaled to norm 1",
            "an SAE whose features count in units of the decoder's norm needs rows that are not zero",
        )
    return norms


def unit_decoder(weights: Weights) -> Weights:
    """Decoder rows made unit vectors, features as much larger; a threshold is one of the old features."""
    norms = decoder_norms(weights)
    if are_unit(norms):
        return weights
    scaled = {name: weights[name] * norms for name in _SCALED_BY_NORM if name in weights}
    return weights | scaled | {"W_enc": weights["W_enc"] * norms, "W_dec": weights["W_dec"] / norms[:, None]}


def are_unit(norms: Float[Tensor, "d_sae"]) -> bool:
    return bool(((norms - 1).abs() < 1e-5).all())


def uncentred(weights: Weights) -> Weights:
    """Biases that do for x what the old ones do for x - b_dec: for libraries that never subtract it."""
    return _shifted(weights, -1)


def centred(weights: Weights) -> Weights:
    """Biases that do for x - b_dec what the old ones do for x: for libraries that always subtract it."""
    return _shifted(weights, 1)


def _shifted(weights: Weights, sign: int) -> Weights:
    shift = sign * (weights["b_dec"].double() @ weights["W_enc"].double())
    biases = {"b_enc": weights["b_enc"].double() + shift}
    if "b_mag" in weights:
        biases["b_mag"] = weights["b_mag"].double() + shift * weights["r_mag"].double().exp()
    return weights | {name: bias.to(weights[name].dtype) for name, bias in biases.items()}
