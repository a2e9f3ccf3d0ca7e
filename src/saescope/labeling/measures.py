"""Measures of features that need no label, from the examples' columns at once; docs/labels.md defines each."""

import numpy as np

Columns = dict[str, np.ndarray]
NAMES = ("token_concentration", "context_diversity", "consistency")


def measure(
    features: int, feature: np.ndarray, stratum: np.ndarray, sample: np.ndarray, peak: np.ndarray, around: np.ndarray
) -> Columns:
    """Each measure for features 0..n-1, NaN where there are too few examples.

    feature, stratum (index into STRATA order top, q4 … q1, none), sample, peak (id of the token at the peak) and around
    (int64 [examples, 4]: ids of the two tokens before and after it, -1 where there are none): one per example.
    """
    return {
        "token_concentration": _concentration(features, feature[stratum == 0], peak[stratum == 0]),
        "context_diversity": _diversity(features, feature[stratum == 0], around[stratum == 0]),
        "consistency": _consistency(features, feature, stratum, peak),
    }


def _counts(feature: np.ndarray, value: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(feature, value, how often) of every pair that occurs."""
    pairs, count = np.unique(
        np.stack([feature.astype(np.int64), value.astype(np.int64)], 1), axis=0, return_counts=True
    )
    return pairs[:, 0], pairs[:, 1], count


def _concentration(features: int, feature: np.ndarray, peak: np.ndarray) -> np.ndarray:
    """The chance that two of the strongest examples, drawn without putting back, peak on the same token."""
    owner, _, count = _counts(feature, peak)
    same = np.bincount(owner, count * (count - 1.0), features)
    total = np.bincount(feature, minlength=features).astype(float)
    return np.where(total > 1, same / np.maximum(total * (total - 1), 1), np.nan)


def _diversity(features: int, feature: np.ndarray, around: np.ndarray) -> np.ndarray:
    """One less the chance that two of the strongest examples have the same token at the same place beside the peak."""
    total = np.bincount(feature, minlength=features).astype(float)
    same = np.zeros(features)
    for step in range(around.shape[1]):
        here = around[:, step] >= 0
        owner, _, count = _counts(feature[here], around[here, step])
        same += np.bincount(owner, count * (count - 1.0), features)
    pairs = np.maximum(total * (total - 1), 1) * around.shape[1]
    return np.where(total > 1, 1 - same / pairs, np.nan)


def _consistency(features: int, feature: np.ndarray, stratum: np.ndarray, peak: np.ndarray) -> np.ndarray:
    """Mean cosine between the peaks' tokens in the strongest examples and in each quarter of all activations."""
    cosines, quarters = np.zeros(features), np.zeros(features)
    top_owner, top_token, top_count = _counts(feature[stratum == 0], peak[stratum == 0])
    top_norm = np.sqrt(np.bincount(top_owner, top_count.astype(float) ** 2, features))
    width = max(int(peak.max(initial=0)), 0) + 1
    top_key = top_owner * width + top_token
    for quarter in range(1, 5):
        owner, token, count = _counts(feature[stratum == quarter], peak[stratum == quarter])
        norm = np.sqrt(np.bincount(owner, count.astype(float) ** 2, features))
        at = np.searchsorted(top_key, owner * width + token)
        found = (at < len(top_key)) & (top_key[np.minimum(at, len(top_key) - 1)] == owner * width + token)
        product = np.bincount(owner[found], count[found] * top_count[at[found]].astype(float), features)
        there = (norm > 0) & (top_norm > 0)
        cosines += np.where(there, product / np.maximum(norm * top_norm, 1e-12), 0)
        quarters += there
    return np.where(quarters > 0, cosines / np.maximum(quarters, 1), np.nan)
