"""Percentiles of the intensities of a whole volume, exact, in bounded memory."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Bbox
from lchunk.volumes.volume import Volume

_BITS = 16
"""Number of bits of each value that one pass over the volume counts."""


def percentiles(volume: Volume, shares: Sequence[float]) -> list[float]:
    """The values at percentiles of all voxels: the value of rank ceil(share · voxels / 100).

    A pass over the volume counts 16 bits of every value, the highest first: one pass for 16-bit voxels, two for 32-bit.

    Args:
        volume: (z, y, x).
        shares: percentages, 0 for the smallest value and 100 for the largest.

    Raises:
        ValueError: a voxel is not a number.
    """
    total = volume.bounds.size
    ranks = [min(total - 1, max(0, math.ceil(share / 100 * total) - 1)) for share in shares]
    width = 8 * volume.dtype.itemsize
    found = [(0, rank) for rank in ranks]  # highest bits so far, and rank among the voxels that begin with them
    for shift in range(max(0, width - _BITS), -1, -_BITS):
        bits = min(_BITS, width)
        counts = _counts(volume, {prefix for prefix, _ in found}, shift, bits)
        found = [_narrowed(prefix, rank, counts[prefix], bits) for prefix, rank in found]
    return [_value(prefix, volume.dtype) for prefix, _ in found]


def _counts(volume: Volume, prefixes: set[int], shift: int, bits: int) -> dict[int, npt.NDArray[np.int64]]:
    """For each prefix, how often each pattern of the next bits follows it."""
    counts = {prefix: np.zeros(1 << bits, np.int64) for prefix in prefixes}
    for voxels in _pieces(volume):
        ordered = _ordered(voxels)
        # a shift by all bits at once is undefined
        above = (ordered >> np.uint64(shift)) >> np.uint64(bits)
        following = (ordered >> np.uint64(shift)) & np.uint64((1 << bits) - 1)
        for prefix in prefixes:
            counts[prefix] += np.bincount(following[above == prefix].astype(np.int64), minlength=1 << bits)
    return counts


def _narrowed(prefix: int, rank: int, counts: npt.NDArray[np.int64], bits: int) -> tuple[int, int]:
    sums = np.cumsum(counts)
    following = int(np.searchsorted(sums, rank, side="right"))
    return (prefix << bits) | following, rank - int(sums[following] - counts[following])


def _ordered(voxels: npt.NDArray[Any]) -> npt.NDArray[np.uint64]:
    """Whole numbers in the order of the values."""
    if voxels.dtype.kind == "f" and np.isnan(voxels).any():
        raise ValueError("voxels of an image must be numbers, got NaN; write numbers there")
    width = 8 * voxels.dtype.itemsize
    words = np.ascontiguousarray(voxels).view(f"u{voxels.dtype.itemsize}").ravel().astype(np.uint64)
    sign = np.uint64(1 << (width - 1))
    if voxels.dtype.kind == "i":
        return words ^ sign
    if voxels.dtype.kind == "f":
        every = np.uint64((1 << width) - 1)
        return np.where(words & sign, words ^ every, words ^ sign)
    return words


def _value(ordered: int, dtype: np.dtype[Any]) -> float:
    width = 8 * dtype.itemsize
    sign = 1 << (width - 1)
    if dtype.kind == "i":
        ordered ^= sign
    elif dtype.kind == "f":
        ordered ^= sign if ordered & sign else (1 << width) - 1
    return float(np.array([ordered], np.uint64).astype(f"u{dtype.itemsize}").view(dtype)[0])


def _pieces(volume: Volume, side: int = 512, depth: int = 32) -> Iterator[npt.NDArray[Any]]:
    """The voxels of a volume, box by box."""
    (z0, y0, x0), (z1, y1, x1) = volume.bounds.start, volume.bounds.stop
    for z in range(z0, z1, depth):
        for y in range(y0, y1, side):
            for x in range(x0, x1, side):
                stop = (min(z + depth, z1), min(y + side, y1), min(x + side, x1))
                yield volume.read(Bbox((z, y, x), stop))
