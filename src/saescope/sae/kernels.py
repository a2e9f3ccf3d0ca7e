"""Finding the few active among many pre-activations, as compiled loops for the CPU.

They walk through a tile that is still in the cache, row by row, one share of the rows for each thread. Their answers
are those of the tensor versions in `active.py` to the last bit, order included; the k largest of 16,384 are
found six times sooner.
"""

import numpy as np
from numba import njit, prange

_LANES = 256
_BLOCK = 64


@njit(cache=True)
def _bound(row, k, lanes, maxima):
    """A number that at least k of the row's values reach: the k-th largest of the maxima of its lanes.

    Lane j holds the values at j, j + lanes, j + 2 lanes, …: maxima of neighbouring lanes are taken together.
    """
    n = len(row)
    whole = n // lanes
    maxima[:lanes] = row[:lanes]
    for block in range(1, whole):
        part = row[block * lanes : (block + 1) * lanes]
        for lane in range(lanes):
            maxima[lane] = part[lane] if part[lane] > maxima[lane] else maxima[lane]
    for lane in range(n - whole * lanes):
        value = row[whole * lanes + lane]
        maxima[lane] = value if value > maxima[lane] else maxima[lane]
    return np.partition(maxima[:lanes], lanes - k)[lanes - k]


@njit(cache=True, parallel=True, nogil=True)
def largest(pre, k, values, indices, threads):
    """The k largest of each row of pre [rows, d_sae], by index; among equals at the edge the lowest indices.

    Needs k < d_sae; fills values and indices [rows, k].
    """
    rows, n = pre.shape
    lanes = _LANES
    while lanes < 4 * k:
        lanes *= 2
    lanes = min(lanes, n)
    for part in prange(threads):
        maxima = np.empty(lanes, dtype=np.float32)
        found = np.empty(n, dtype=np.float32)
        where = np.empty(n, dtype=np.int64)
        for r in range(rows * part // threads, rows * (part + 1) // threads):
            row = pre[r]
            bound = _bound(row, k, lanes, maxima)
            count = 0
            for lane in range(lanes):
                if maxima[lane] >= bound:
                    for at in range(lane, n, lanes):
                        if row[at] >= bound:
                            found[count] = row[at]
                            where[count] = at
                            count += 1
            if count > k:
                edge = np.partition(found[:count], count - k)[count - k]
                kept, equal = 0, 0
                for i in range(count):
                    if found[i] > edge:
                        where[kept] = where[i]
                        kept += 1
                room = k - kept
                # values that equal the edge were passed over: look for them again, in order of index
                for at in range(n):
                    if equal == room:
                        break
                    if row[at] == edge:
                        where[kept + equal] = at
                        equal += 1
                count = kept + equal
            chosen = np.sort(where[:count])
            for i in range(count):
                indices[r, i] = chosen[i]
                values[r, i] = row[chosen[i]]
            for i in range(count, k):  # only where there are numbers that compare with nothing
                indices[r, i] = 0
                values[r, i] = -np.inf


@njit(cache=True, parallel=True, nogil=True)
def _count_above(pre, limit, counts, threads):
    """How many values of each block of _BLOCK features exceed their limits: counts [rows, blocks]."""
    rows, n = pre.shape
    blocks = counts.shape[1]
    for part in prange(threads):
        for r in range(rows * part // threads, rows * (part + 1) // threads):
            row = pre[r]
            for block in range(blocks):
                low = block * _BLOCK
                found = np.int32(0)
                for at in range(low, min(low + _BLOCK, n)):
                    found += row[at] > limit[at]
                counts[r, block] = found


@njit(cache=True, parallel=True, nogil=True)
def _gather_above(pre, limit, counts, starts, rows_out, features, values, threads):
    """Write the values that `_count_above` counted; those of row r begin at starts[r]."""
    rows, n = pre.shape
    for part in prange(threads):
        for r in range(rows * part // threads, rows * (part + 1) // threads):
            row = pre[r]
            at = starts[r]
            for block in range(counts.shape[1]):
                if counts[r, block] == 0:
                    continue
                low = block * _BLOCK
                for f in range(low, min(low + _BLOCK, n)):
                    if row[f] > limit[f]:
                        rows_out[at] = r
                        features[at] = f
                        values[at] = row[f]
                        at += 1


def above(pre, limit, most, threads):
    """The values of pre [rows, d_sae] that exceed limit [d_sae]: rows, features, values, in that order.

    Floats, or int16 that compare as the numbers do. None where there are more than `most`. Counted first and then
    sized: a row may hold any number of them.
    """
    rows, n = pre.shape
    counts = np.empty((rows, -(-n // _BLOCK)), dtype=np.int32)
    _count_above(pre, limit, counts, threads)
    ends = counts.sum(1, dtype=np.int64).cumsum()
    total = int(ends[-1]) if rows else 0
    if total > most:
        return None
    starts = np.concatenate((np.zeros(1, dtype=np.int64), ends[:-1])) if rows else ends
    columns = np.empty(total, np.int64), np.empty(total, np.int64), np.empty(total, pre.dtype)
    _gather_above(pre, limit, counts, starts, *columns, threads)
    return columns


# ---- screened: the tile is a product in bfloat16, seen as int16 bits; what may be large is computed again ----

_UNIT = 2.0**-8
"""u of `screen.py`."""


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def dot(a, b):
    """Of two vectors, the terms added up in any order."""
    total = np.float32(0)
    for i in range(len(a)):
        total += a[i] * b[i]
    return total


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _squared_length(row, scale):
    total = np.float32(0)
    for i in range(len(row)):
        total += (row[i] * scale[i]) * (row[i] * scale[i])
    return total


@njit(cache=True, parallel=True, nogil=True)
def row_lengths(matrix, scale, lengths, threads):
    """lengths [rows]: the norm of each row of matrix * scale."""
    rows = len(matrix)
    for part in prange(threads):
        for r in range(rows * part // threads, rows * (part + 1) // threads):
            lengths[r] = np.sqrt(_squared_length(matrix[r], scale))


@njit(cache=True, parallel=True, nogil=True)
def screened_largest(bits, x, encoder, bias, error, reach, values, indices, unsure, threads):
    """The k largest of each row of x @ encoder.T + bias that are positive, by index; places left over hold 0.

    bits [rows, d_sae]: the same product, off by error [rows] * reach [d_sae] at most (reach 1 at most) before it was
    rounded. Some k of a row's values reach a number b; the k-th largest of the exact ones is at most error below it,
    and every value of the product that may be one of these at most twice that. The k are made sure of first: their
    least is what others have to be able to reach. unsure [rows]: where b - 2 error is not above zero; nothing is said.
    """
    rows, n = bits.shape
    k = values.shape[1]
    lanes = _LANES
    while lanes < 4 * k:
        lanes *= 2
    lanes = min(lanes, n)
    for part in prange(threads):
        maxima = np.empty(lanes, dtype=np.int16)
        where = np.empty(n, dtype=np.int64)
        near = np.empty(n, dtype=np.int32)
        floats = near.view(np.float32)
        exact = np.empty(n, dtype=np.float32)
        sure = np.empty(n, dtype=np.float32)
        word = np.empty(1, dtype=np.int32)
        number = word.view(np.float32)
        for r in range(rows * part // threads, rows * (part + 1) // threads):
            row = bits[r]
            word[0] = np.int32(_bound(row, k, lanes, maxima)) << 16
            reached = number[0]
            limit = reached * np.float32(1 - 4 * _UNIT) - np.float32(2) * error[r]
            unsure[r] = not limit > 0
            if unsure[r]:
                continue
            number[0] = limit
            bound = np.int16(word[0] >> 16)
            count = 0
            for block in range(n // _BLOCK):
                hit = False
                for at in range(block * _BLOCK, block * _BLOCK + _BLOCK):
                    hit |= row[at] >= bound
                if hit:
                    for at in range(block * _BLOCK, block * _BLOCK + _BLOCK):
                        if row[at] >= bound:
                            where[count] = at
                            near[count] = np.int32(row[at]) << 16
                            count += 1
            for at in range(n // _BLOCK * _BLOCK, n):
                if row[at] >= bound:
                    where[count] = at
                    near[count] = np.int32(row[at]) << 16
                    count += 1
            first = 0
            for i in range(count):
                if floats[i] >= reached:
                    exact[i] = sure[first] = dot(x[r], encoder[where[i]]) + bias[where[i]]
                    first += 1
            least = np.partition(sure[:first], first - k)[first - k]
            left = 0
            for i in range(count):
                if floats[i] < reached:
                    most = floats[i] * np.float32(1 + 2 * _UNIT) + error[r] * reach[where[i]]
                    if most < least:
                        continue
                    exact[i] = dot(x[r], encoder[where[i]]) + bias[where[i]]
                exact[left], where[left] = exact[i], where[i]
                left += 1
            edge = np.partition(exact[:left], left - k)[left - k]
            room = k
            for i in range(left):
                room -= exact[i] > edge
            kept = 0
            for i in range(left):
                if exact[i] > edge or (exact[i] == edge and room > 0):
                    room -= exact[i] == edge
                    values[r, kept] = exact[i] if exact[i] > 0 else np.float32(0)
                    indices[r, kept] = where[i]
                    kept += 1


@njit(cache=True, parallel=True, nogil=True)
def single_products(rows, features, x, encoder, bias, values, threads):
    """values [n] of x @ encoder.T + bias at these rows and features."""
    n = len(rows)
    for part in prange(threads):
        for i in range(n * part // threads, n * (part + 1) // threads):
            values[i] = dot(x[rows[i]], encoder[features[i]]) + bias[features[i]]
