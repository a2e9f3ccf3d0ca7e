"""The reduction as compiled loops: what `groups.py`, `statistics.py` and `ranked.py` say in tensors, in one pass.

Each thread owns a range of features and walks through all activations, sample by sample: no two threads touch the
same number, nothing is sorted, and an activation costs a few nanoseconds. For CPUs; equal to the tensors' answer to
the last bit (tests/extraction/test_kernels.py).
"""

import numpy as np
from numba import njit, prange

_VALUE_BITS = 0x7FFFFFFF
_FRACTION = 2.0**32
_MIX_1 = np.int64(-4658895280553007687)
_MIX_2 = np.int64(-7723592293110705685)
_TOP = 5
HEAD = 1 + _TOP
"""Numbers of a row before its window's activations: where the window starts, and the five strongest positions."""
_STRIDE = 32
BATCH_BYTES = 4 * 4 + 8
"""Bytes for each feature that `reduce_batch` works with: stamp, head, best, touched and worst."""


@njit(cache=True, inline="always")
def _pair_hash(feature_key, sample_key):
    """hashing.pair_hash of one feature and one sample."""
    x = (feature_key ^ sample_key) * _MIX_1
    x = (x ^ ((x >> 32) & np.int64(0xFFFFFFFF))) * _MIX_2
    return (x >> 33) & np.int64(_VALUE_BITS)


@njit(cache=True, inline="always")
def _key(priority, sample):
    """(priority, sample) as one number that orders alike; samples stay below 2^32."""
    return (np.int64(priority) << 32) | np.int64(sample)


@njit(cache=True)
def place(count, keys, slots, f, key):
    """Put a row into feature f's heap, whose root is the worst row kept; its payload's slot, or -1 if it is not kept.

    count [d_sae]; keys, slots [d_sae, k].
    """
    k = keys.shape[1]
    n = count[f]
    if n < k:
        count[f] = n + 1
        own, at = n, n
        while at > 0:
            parent = (at - 1) >> 1
            if key <= keys[f, parent]:
                break
            keys[f, at] = keys[f, parent]
            slots[f, at] = slots[f, parent]
            at = parent
    else:
        if key >= keys[f, 0]:
            return -1
        own, at = slots[f, 0], 0
        while True:
            child = 2 * at + 1
            if child >= k:
                break
            if child + 1 < k and keys[f, child + 1] > keys[f, child]:
                child += 1
            if keys[f, child] <= key:
                break
            keys[f, at] = keys[f, child]
            slots[f, at] = slots[f, child]
            at = child
    keys[f, at] = key
    slots[f, at] = own
    return own


@njit(cache=True, inline="always")
def _worst(heap, f):
    """The priority that a row of feature f must not exceed to have a chance."""
    k = heap[1].shape[1]
    return heap[1][f, 0] >> 32 if k and heap[0][f] == k else np.int64(_VALUE_BITS)


@njit(cache=True)
def _offer(heap, f, key, entry, following, position, value, peak, length, first, best):
    """Put a row into feature f's heap and, where it is kept, write down its window and strongest positions.

    `entry` is the last of the feature's activations in one sample, `following` leads from each to the one before;
    `best` is room for five numbers.
    """
    own = place(heap[0], heap[1], heap[2], f, key)
    if own < 0:
        return
    places, activations = heap[3], heap[4]
    window = places.shape[2] - HEAD
    start = min(peak, max(first, min(peak - window // 2, length - window)))
    places[f, own, 0] = start
    places[f, own, 1:HEAD] = -1
    activations[f, own, HEAD:] = 0.0
    best[:] = -1.0
    while entry >= 0:
        v, at = value[entry], position[entry]
        if start <= at < start + window:
            activations[f, own, HEAD + at - start] = v
        if v >= best[_TOP - 1]:  # the chain runs backwards, so an equal one here stands earlier
            i = _TOP - 1
            while i > 0 and v >= best[i - 1]:
                best[i] = best[i - 1]
                places[f, own, 1 + i] = places[f, own, i]
                i -= 1
            best[i] = v
            places[f, own, 1 + i] = at
        entry = following[entry]


@njit(cache=True, parallel=True, nogil=True)
def reduce_batch(
    samples, lengths, offsets, position, feature, value, bits,
    first, feature_keys, sample_keys,
    active_tokens, active_samples, maximum, histogram, whole, fraction, square, square_fraction,
    top, sampled, silent,
    lowest_half_octave, bins, threads,
):  # fmt: skip
    """Take a batch of samples into statistics and heaps.

    samples, lengths, sample_keys [n]; offsets [n + 1] into position, feature, value, bits [activations], which are
    ordered by sample, then position. Heaps are `Heaps.arrays`.
    """
    d_sae = len(feature_keys)
    stamp = np.full(d_sae, -1, dtype=np.int32)
    head = np.empty(d_sae, dtype=np.int32)
    best = np.empty(d_sae, dtype=np.int32)
    touched = np.empty(d_sae, dtype=np.int32)
    following = np.empty(len(value), dtype=np.int32)
    worst = np.empty(d_sae, dtype=np.int64)
    for part in prange(threads):
        low, high = d_sae * part // threads, d_sae * (part + 1) // threads
        room = np.empty(_TOP, dtype=np.float32)
        hashes = np.empty(_STRIDE, dtype=np.int64)
        for f in range(low, high):
            worst[f] = _worst(silent, f)
        for i in range(len(samples)):
            n = 0
            for entry in range(offsets[i], offsets[i + 1]):
                f = feature[entry]
                if f < low or f >= high:
                    continue
                v = value[entry]
                if stamp[f] != i:
                    stamp[f] = i
                    touched[low + n] = f
                    n += 1
                    best[f] = entry
                    following[entry] = -1
                else:
                    if v > value[best[f]]:
                        best[f] = entry
                    following[entry] = head[f]
                head[f] = entry
                active_tokens[f] += 1
                x = np.float64(v)
                floor = np.floor(x)
                whole[f] += np.int64(floor)
                fraction[f] += np.int64(np.rint((x - floor) * _FRACTION))
                x = x * x
                floor = np.floor(x)
                square[f] += np.int64(floor)
                square_fraction[f] += np.int64(np.rint((x - floor) * _FRACTION))
                histogram[f * bins + min(max((bits[entry] >> 22) - lowest_half_octave, 0), bins - 1)] += 1
            s = samples[i]
            for t in range(n):
                f = np.int64(touched[low + t])
                entry = best[f]
                v = value[entry]
                active_samples[f] += 1
                if v > maximum[f]:
                    maximum[f] = v
                chance = _pair_hash(feature_keys[f], sample_keys[i])
                for heap, priority in ((top, _VALUE_BITS - np.int64(bits[entry])), (sampled, chance)):
                    _offer(
                        heap, f, _key(priority, s), head[f], following, position, value,
                        position[entry], lengths[i], first, room,
                    )  # fmt: skip
            if silent[1].shape[1] == 0:
                continue
            key = sample_keys[i]
            for start in range(low, high, _STRIDE):
                stop = min(start + _STRIDE, high)
                near = 0
                for f in range(start, stop):  # no branches: hashes are made many at a time
                    chance = _pair_hash(feature_keys[f], key)
                    hashes[f - start] = chance
                    near += chance <= worst[f]
                if near == 0:
                    continue
                for f in range(start, stop):
                    if hashes[f - start] <= worst[f] and stamp[f] != i:
                        place(silent[0], silent[1], silent[2], np.int64(f), _key(hashes[f - start], s))
                        worst[f] = _worst(silent, f)


@njit(cache=True)
def place_rows(count, keys, slots, features, priorities, samples):
    """Put rows into heaps one by one; the slot of each row's payload, -1 for those not kept.

    A later row may take an earlier one's slot: payloads are to be written in the same order.
    """
    owns = np.empty(len(features), dtype=np.int64)
    for row in range(len(features)):
        owns[row] = place(count, keys, slots, features[row], _key(priorities[row], samples[row]))
    return owns


@njit(cache=True, parallel=True, nogil=True)
def in_order(keys, slots, low, starts, sorted_keys, sorted_slots):
    """Copy each feature's keys and slots in order of key: those of feature low + i to starts[i] … starts[i + 1]."""
    for i in prange(len(starts) - 1):
        start, n = starts[i], starts[i + 1] - starts[i]
        order = np.argsort(keys[low + i, :n])
        for j in range(n):
            sorted_keys[start + j] = keys[low + i, order[j]]
            sorted_slots[start + j] = slots[low + i, order[j]]
