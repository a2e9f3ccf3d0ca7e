"""Compiled loops over rows of different lengths, which `tables.py` lays one behind the other as Arrow lists."""

import numpy as np
from numba import njit, prange

_ONES = np.array([bin(byte).count("1") for byte in range(256)], dtype=np.int64)
"""Set bits of each byte."""


@njit(cache=True, parallel=True, nogil=True)
def lay_out(rows, places, offsets, out):
    """Put the beginning of each row [n, width] into list number places[i]: out[offsets[p] : offsets[p + 1]]."""
    for i in prange(len(places)):
        start = offsets[places[i]]
        for j in range(offsets[places[i] + 1] - start):
            out[start + j] = rows[i, j]


@njit(cache=True, parallel=True, nogil=True)
def cut_out(tokens, samples, starts, offsets, out):
    """List number i: the tokens of sample samples[i] from position starts[i] on."""
    for i in prange(len(samples)):
        start = offsets[i]
        for j in range(offsets[i + 1] - start):
            out[start + j] = tokens[samples[i], starts[i] + j]


@njit(cache=True, nogil=True)
def order_within(keys, starts, order):
    """The order of the keys within each run starts[i] … starts[i + 1]."""
    for i in range(len(starts) - 1):
        start, end = starts[i], starts[i + 1]
        order[start:end] = start + np.argsort(keys[start:end])


@njit(cache=True, nogil=True)
def nth_set(bits, rows, chance, out):
    """The (chance mod n)-th of the n set bits of each row of bits (as np.packbits packs them); 0 where n is 0."""
    for i in range(len(rows)):
        row = bits[rows[i]]
        count = 0
        for byte in row:
            count += _ONES[byte]
        out[i] = 0
        if count == 0:
            continue
        left = chance[i] % count
        at = 0
        while left >= _ONES[row[at]]:
            left -= _ONES[row[at]]
            at += 1
        for bit in range(8):
            if row[at] >> (7 - bit) & 1:
                if left == 0:
                    out[i] = 8 * at + bit
                    break
                left -= 1
