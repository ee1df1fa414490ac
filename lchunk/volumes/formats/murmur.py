"""The hash that selects the shard of a chunk in some precomputed volumes.

MurmurHash3_x86_128 (https://github.com/aappleby/smhasher/blob/master/src/MurmurHash3.cpp) of the eight bytes of a
number, little endian, with seed 0.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

Number = TypeVar("Number", int, npt.NDArray[np.uint64])
"""A number below 2^64, or an array of them."""
_ALL = 0xFFFFFFFF
_LOW = (0x239B961B, 0xAB0E9789, 15)
"""Two factors, and the rotation between them, for the lower half of the number."""
_HIGH = (0xAB0E9789, 0x38B34AE5, 16)
_BYTES = 8


def murmur_hash(number: Number) -> Number:
    """The lower half of the hash of a number below 2^64, or of each in an array.

    >>> hex(murmur_hash(0)), hex(murmur_hash(1))
    ('0x4772b084e028ae41', '0xe8bd67d616d4ce9a')
    """
    low = _scattered(number & _ALL, *_LOW) ^ _BYTES
    high = _scattered(number >> 32, *_HIGH) ^ _BYTES
    low, high, others = _summed(low, high, _BYTES)
    low, high, others = _summed(_mixed(low), _mixed(high), _mixed(others))
    found: Number = high << 32 | low
    return found


def _scattered(word: Any, first: int, second: int, rotation: int) -> Any:
    product = word * first & _ALL
    return (product << rotation | product >> (32 - rotation)) * second & _ALL


def _summed(low: Any, high: Any, others: Any) -> tuple[Any, Any, Any]:
    """Add the four words of the hash to the first one, and that to the others. The last two words are equal."""
    low = (low + high + 2 * others) & _ALL
    return low, (high + low) & _ALL, (others + low) & _ALL


def _mixed(word: Any) -> Any:
    word = (word ^ word >> 16) * 0x85EBCA6B & _ALL
    word = (word ^ word >> 13) * 0xC2B2AE35 & _ALL
    return word ^ word >> 16
