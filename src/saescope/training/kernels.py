"""Loops of a training step, compiled for the CPU."""

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def by_feature(features, d_sae):
    """The order that puts entries together by feature, those of one feature as they stood, and where each begins.

    features [n]; returns order [n] and starts [d_sae + 1].
    """
    starts = np.zeros(d_sae + 1, dtype=np.int64)
    for feature in features:
        starts[feature + 1] += 1
    for feature in range(d_sae):
        starts[feature + 1] += starts[feature]
    free = starts[:-1].copy()
    order = np.empty(len(features), dtype=np.int64)
    for i in range(len(features)):
        feature = features[i]
        order[free[feature]] = i
        free[feature] += 1
    return order, starts
