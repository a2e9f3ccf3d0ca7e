"""Adam, with what an SAE's step does besides: the whole gradient's norm is held, decoder rows stay at norm 1."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from . import kernels

BETAS, EPSILON = (0.9, 0.999), 1e-8


class Adam:
    """Kingma and Ba 2015, "Adam: A Method for Stochastic Optimization", algorithm 1.

    On a CPU each row is read and written once: projected, scaled, moved and renormed while it is in the cache. Tensors
    do the same elsewhere.
    """

    def __init__(self, parameters: dict[str, Tensor], unit: str | None) -> None:
        """unit: the matrix whose rows have norm 1, and are to keep it."""
        self.parameters, self.unit, self.steps = parameters, unit, 0
        self.moments = {name: (torch.zeros_like(each), torch.zeros_like(each)) for name, each in parameters.items()}

    def forget_gradients(self) -> None:
        for parameter in self.parameters.values():
            parameter.grad = None

    @torch.no_grad()
    def project(self) -> float:
        """Take out of the unit rows' gradient what would only lengthen or shorten them; the whole gradient's norm."""
        squares = 0.0
        for name, parameter in self.parameters.items():
            if parameter.grad is not None:
                squares += _project(parameter, parameter.grad, name == self.unit)
        return math.sqrt(squares)

    @torch.no_grad()
    def step(self, lr: float, share: float) -> None:
        """Move the parameters by their gradients times `share`."""
        self.steps += 1
        rise, sizes = (1 - beta**self.steps for beta in BETAS)
        for name, parameter in self.parameters.items():
            if parameter.grad is not None:
                _move(parameter, parameter.grad, self.moments[name], share, lr / rise, sizes**0.5, name == self.unit)


def _compiled(parameter: Tensor) -> bool:
    return parameter.device.type == "cpu" and parameter.dtype == torch.float32


def _project(parameter: Tensor, grad: Float[Tensor, "*shape"], unit: bool) -> float:
    """The gradient's sum of squares, after the projection of unit rows."""
    if _compiled(parameter):
        rows = _rows(grad)
        squares = rows.new_empty(len(rows))
        kernels.project(_rows(parameter).numpy(), rows.numpy(), unit, squares.numpy(), torch.get_num_threads())
        return float(squares.double().sum())
    if unit:
        grad.addcmul_((grad * parameter).sum(1, keepdim=True), parameter, value=-1)
    return float(grad.double().square().sum())


def _move(
    parameter: Tensor,
    grad: Tensor,
    moments: tuple[Tensor, Tensor],
    share: float,
    rate: float,
    size: float,
    unit: bool,
) -> None:
    """One step of a parameter: rate and size have both moments' corrections in them."""
    if _compiled(parameter):
        p, g, m, v = (_rows(each).numpy() for each in (parameter, grad, *moments))
        kernels.move(p, g, m, v, share, rate, size, BETAS[0], BETAS[1], EPSILON, unit, torch.get_num_threads())
        return
    mean, square = moments
    grad = grad * share
    mean.lerp_(grad, 1 - BETAS[0])
    square.mul_(BETAS[1]).addcmul_(grad, grad, value=1 - BETAS[1])
    parameter.addcdiv_(mean, square.sqrt().div_(size).add_(EPSILON), value=-rate)
    if unit:
        parameter /= parameter.norm(dim=1, keepdim=True).clamp(min=1e-12)


def _rows(tensor: Tensor) -> Float[Tensor, "rows width"]:
    """A matrix as it is, a vector as one row."""
    detached = tensor.detach()
    return detached if detached.ndim == 2 else detached.view(1, -1)
