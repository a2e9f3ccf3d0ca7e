"""How learning rate and sparsity change over a run. Steps count from 0."""

WARM_UP = 0.05
"""Share of the steps over which learning rate and sparsity penalty rise."""

DECAY = 0.2
"""Share of the steps, at the end, over which the learning rate falls to zero."""


def default_lr(d_sae: int) -> float:
    """Peak learning rate: the law of Gao et al. 2024, 2e-4 / sqrt(d_sae / 2**14), times 4 for short runs."""
    return 4 * 2e-4 / (d_sae / 2**14) ** 0.5


def learning_rate(step: int, total: int, peak: float) -> float:
    """Linear up, flat, linear down; never zero within the run."""
    rise = max(1, min(1000, round(total * WARM_UP)))
    fall = max(1, round(total * DECAY))
    return peak * min(1.0, (step + 1) / rise, max(total - step, 0) / fall)


def sparsity(step: int, total: int) -> float:
    """Factor of a sparsity penalty: linear up to 1."""
    return min(1.0, (step + 1) / max(1, round(total * WARM_UP)))
