"""The one source of chance in an extraction: a hash of (seed, feature, sample).

It depends on nothing else, so any split of the samples into batches and shards picks the same examples.
"""

import torch
from jaxtyping import Int
from torch import Tensor

# Constants of splitmix64 (Steele, Lea & Flood 2014), as signed 64-bit numbers; torch's int64 products wrap around.
_GAMMA = -7046029254386353131
_MIX_1 = -4658895280553007687
_MIX_2 = -7723592293110705685


def _mix(x: Int[Tensor, "*shape"]) -> Int[Tensor, "*shape"]:
    """splitmix64's finalizer; the shifts are made logical by masking the sign bits they drag in."""
    x = (x ^ ((x >> 30) & 0x3FFFFFFFF)) * _MIX_1
    x = (x ^ ((x >> 27) & 0x1FFFFFFFFF)) * _MIX_2
    return x ^ ((x >> 31) & 0x1FFFFFFFF)


def feature_keys(seed: int, features: Int[Tensor, "n"]) -> Int[Tensor, "n"]:
    """A well-mixed number for each feature."""
    return _mix(features.long() * _GAMMA + _mix(torch.full_like(features, seed, dtype=torch.int64) + _GAMMA))


def sample_keys(samples: Int[Tensor, "n"]) -> Int[Tensor, "n"]:
    """A well-mixed number for each sample."""
    return _mix(samples.long() + _GAMMA)


def pair_hash(feature_key: Int[Tensor, "*shape"], sample_key: Int[Tensor, "*other"]) -> Int[Tensor, "*both"]:
    """Hash of a feature and a sample, from their keys (which broadcast): a number in [0, 2^31)."""
    x = feature_key ^ sample_key
    x.mul_(_MIX_1)
    x.bitwise_xor_((x >> 32) & 0xFFFFFFFF)
    x.mul_(_MIX_2)
    return x.bitwise_right_shift_(33).bitwise_and_(0x7FFFFFFF)
