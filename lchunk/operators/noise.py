"""Random numbers that belong to voxels: the same ones whichever part of a volume is asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Bbox
from lchunk.operators.compiled import njit
from lchunk.operators.pair_hash import mixed


def noise(bbox: Bbox, seed: int = 0) -> npt.NDArray[np.uint64]:
    """One random number per voxel, a function of the seed and of the voxel's global coordinates.

    Args:
        bbox: the voxels; coordinates may be negative.
        seed: 0 to 2⁶⁴ - 1.

    Returns:
        (z, y, x) numbers; all 64 bits are random.

    >>> whole, part = noise(Bbox.parse("-9-9_0-9_5-9"), seed=3), noise(Bbox.parse("0-2_1-4_6-9"), seed=3)
    >>> bool(np.array_equal(whole[9:11, 1:4, 1:4], part)), len(np.unique(whole)) == whole.size
    (True, True)
    """
    numbers: npt.NDArray[np.uint64] = np.empty(bbox.shape, np.uint64)
    _fill(numbers, np.array(bbox.start), np.uint64(seed))
    return numbers


@njit(inline=True)
def stirred(number: Any, more: Any) -> Any:
    """A random number that depends on another one and on a whole number, which may be negative."""
    return mixed(number + np.uint64(0x9E3779B97F4A7C15) + np.uint64(more))


@njit
def _fill(numbers: Any, start: Any, seed: Any) -> None:
    depth, height, width = numbers.shape
    first = stirred(np.uint64(0), seed)
    for z in range(depth):
        section = stirred(first, start[0] + z)
        for y in range(height):
            row = stirred(section, start[1] + y)
            for x in range(width):
                numbers[z, y, x] = stirred(row, start[2] + x)
