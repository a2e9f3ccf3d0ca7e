"""Loops of a training step, compiled for the CPU."""

import numpy as np
from numba import njit, prange

from ..sae.kernels import dot


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


@njit(cache=True, parallel=True, nogil=True)
def project(parameter, grad, unit, squares, threads):
    """squares [rows]: of each row of grad, after what is parallel to the parameter's unit row was taken out of it."""
    rows, width = grad.shape
    for part in prange(threads):
        for r in range(rows * part // threads, rows * (part + 1) // threads):
            row = grad[r]
            if unit:
                along = dot(row, parameter[r])
                for i in range(width):
                    row[i] -= along * parameter[r, i]
            squares[r] = dot(row, row)


@njit(cache=True, parallel=True, nogil=True)
def move(parameter, grad, mean, square, share, rate, size, beta, beta_square, epsilon, unit, threads):
    """A step of Adam on every row, which is brought back to norm 1 where `unit` is true."""
    rows, width = grad.shape
    share, rate, size, epsilon = np.float32(share), np.float32(rate), np.float32(1 / size), np.float32(epsilon)
    keep, keep_square = np.float32(beta), np.float32(beta_square)
    take, take_square = np.float32(1 - beta), np.float32(1 - beta_square)
    for part in prange(threads):
        for r in range(rows * part // threads, rows * (part + 1) // threads):
            p, g, m, v = parameter[r], grad[r], mean[r], square[r]
            for i in range(width):
                scaled = g[i] * share
                m[i] = m[i] * keep + scaled * take
                v[i] = v[i] * keep_square + scaled * scaled * take_square
                p[i] -= rate * m[i] / (np.sqrt(v[i]) * size + epsilon)
            if unit:
                length = np.sqrt(dot(p, p))
                shrink = np.float32(1) / max(length, np.float32(1e-12))
                for i in range(width):
                    p[i] *= shrink
