"""How learning rate and sparsity change over a run. Steps count from 0."""

_LONGEST_RISE = 1000
"""Steps of the learning rate's warm-up, at most."""


def default_lr(d_sae: int) -> float:
    """Peak learning rate: the law of Gao et al. 2024, 2e-4 / sqrt(d_sae / 2**14), times 4 for short runs."""
    return 4 * 2e-4 / (d_sae / 2**14) ** 0.5


def learning_rate(step: int, total: int, peak: float, warm_up: float, decay: float) -> float:
    """Linear up over the share `warm_up` of the steps, flat, linear down over the share `decay`; never zero."""
    rise = max(1, min(_LONGEST_RISE, round(total * warm_up)))
    fall = max(1, round(total * decay))
    return peak * min(1.0, (step + 1) / rise, max(total - step, 0) / fall)


def sparsity(step: int, total: int, warm_up: float) -> float:
    """Factor of a sparsity penalty: linear up to 1 over the share `warm_up` of the steps."""
    return min(1.0, (step + 1) / max(1, round(total * warm_up)))
