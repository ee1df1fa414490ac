"""Cells with known labels, like those of dense tissue: the points that are nearest to each of many random points.

The points come from a lattice of blocks. A block's points are a function of the seed and of its place: every part of a
volume has the same cells, so that a volume of any size can be made part by part.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Bbox
from lchunk.operators.compiled import njit
from lchunk.operators.noise import stirred

POINTS = 4
"""Points of a block. With so many, the nearest two points of a voxel are in its block or in one of the 26 beside it,
except for about one voxel in a million."""
UNIT = 2.0**-53


def cells(
    bbox: Bbox, bounds: Bbox, *, diameter: float, voxel_size: tuple[float, float, float] = (1, 1, 1), seed: int = 0
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint64]]:
    """Make cells around random points, in a part of a volume.

    Args:
        bbox: the voxels to make, inside the bounds.
        bounds: the volume, which numbers the cells.
        diameter: a cell has the volume of a cube of this side, on average; in the unit of the voxel size.
        voxel_size: z, y, x.
        seed: seed of the points, 0 to 2⁶⁴ - 1.

    Returns:
        (z, y, x) how much nearer the nearest point is than the second, in the unit of the voxel size: 0 on a membrane;
        and (z, y, x) the label of the cell, from 1.

    Raises:
        ValueError: the diameter or the voxel size is not above 0, or the bbox is not inside the bounds.

    >>> bounds, part = Bbox.of((0, 0, 0), (20, 20, 20)), Bbox.of((5, 0, 9), (8, 8, 8))
    >>> _, labels = cells(bounds, bounds, diameter=8)
    >>> bool(np.array_equal(cells(part, bounds, diameter=8)[1], labels[part.slices()]))
    True
    """
    if not all(0 < size < math.inf for size in (diameter, *voxel_size)):
        raise ValueError(f"diameter and voxel size must be above 0, got {diameter} and {voxel_size}; correct them")
    if not bounds.contains(bbox):
        raise ValueError(f"the bbox must be inside the bounds {bounds}, got {bbox}; clip it")
    side = diameter * POINTS ** (1 / 3)
    size = np.array(voxel_size, np.float64)
    first, counts = _blocks(bounds, size, side)
    low, shape = _blocks(bbox, size, side)
    points = np.empty((*shape, POINTS, 3), np.float64)
    _scatter(points, low, np.uint64(seed))
    gaps: npt.NDArray[np.float32] = np.empty(bbox.shape, np.float32)
    labels: npt.NDArray[np.uint64] = np.empty(bbox.shape, np.uint64)
    _nearest((gaps, labels), (np.array(bbox.start), size / side), points, low, (first, counts))
    gaps *= np.float32(side)
    return gaps, labels


def largest_label(bounds: Bbox, *, diameter: float, voxel_size: tuple[float, float, float] = (1, 1, 1)) -> int:
    """No label of `cells` with these arguments is larger.

    >>> largest_label(Bbox.of((0, 0, 0), (20, 20, 20)), diameter=8)
    256
    """
    _, counts = _blocks(bounds, np.array(voxel_size, np.float64), diameter * POINTS ** (1 / 3))
    return POINTS * int(counts.prod())


def _blocks(
    bbox: Bbox, size: npt.NDArray[np.float64], side: float
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The first of the blocks that hold a box and those beside it, and their number along each axis."""
    low = np.floor((np.array(bbox.start) + 0.5) * (size / side)).astype(np.int64) - 1
    high = np.floor((np.array(bbox.stop) - 0.5) * (size / side)).astype(np.int64) + 2
    return low, np.maximum(high - low, 0)


@njit
def _scatter(points: Any, low: Any, seed: Any) -> None:
    """Place the points of blocks; their unit is the side of a block."""
    depth, height, width = points.shape[:3]
    own = stirred(np.uint64(1), seed)  # other numbers than those of `noise`
    for z in range(depth):
        plane = stirred(own, low[0] + z)
        for y in range(height):
            row = stirred(plane, low[1] + y)
            for x in range(width):
                number = stirred(row, low[2] + x)
                for place in range(points.shape[3]):
                    for axis in range(3):
                        number = stirred(number, axis)
                        within = np.float64(number >> np.uint64(11)) * UNIT
                        index = z if axis == 0 else y if axis == 1 else x
                        points[z, y, x, place, axis] = low[axis] + index + within


@njit
def _nearest(filled: Any, place: Any, points: Any, low: Any, numbered: Any) -> None:
    """Find the nearest two points of each voxel's centre, and the label of the nearest.

    Args:
        filled: (z, y, x) differences of the distances to the two, in sides of a block; and (z, y, x) labels.
        place: the first voxel, and the sides of a block per voxel.
        points: (z, y, x, point, axis).
        low: the first block of `points`.
        numbered: the first block of the volume, and its blocks along each axis.
    """
    gaps, labels = filled
    start, step = place
    first, counts = numbered
    depth, height, width = gaps.shape
    for z in range(depth):
        at_z = (start[0] + z + 0.5) * step[0]
        block_z = int(np.floor(at_z))
        for y in range(height):
            at_y = (start[1] + y + 0.5) * step[1]
            block_y = int(np.floor(at_y))
            for x in range(width):
                at_x = (start[2] + x + 0.5) * step[2]
                block_x = int(np.floor(at_x))
                best, second, label = np.inf, np.inf, 0
                # the voxel's own block first, so that most others are known to be too far
                for dz in (0, -1, 1):
                    away_z = _away(at_z - block_z, dz)
                    for dy in (0, -1, 1):
                        away_y = away_z + _away(at_y - block_y, dy)
                        for dx in (0, -1, 1):
                            if away_y + _away(at_x - block_x, dx) > second:
                                continue
                            bz, by, bx = block_z + dz, block_y + dy, block_x + dx
                            near = points[bz - low[0], by - low[1], bx - low[2]]
                            for point in range(len(near)):
                                one, two, three = near[point, 0] - at_z, near[point, 1] - at_y, near[point, 2] - at_x
                                square = one * one + two * two + three * three
                                if square < best:
                                    best, second = square, best
                                    row = (bz - first[0]) * counts[1] + by - first[1]
                                    label = 1 + (row * counts[2] + bx - first[2]) * len(near) + point
                                elif square < second:
                                    second = square
                gaps[z, y, x] = np.sqrt(second) - np.sqrt(best)
                labels[z, y, x] = label


@njit(inline=True)
def _away(inside: Any, beside: int) -> Any:
    """The square of the distance along one axis, from a place in a block to the block beside it, or to itself: 0."""
    distance = 0.0 if beside == 0 else inside if beside < 0 else 1.0 - inside
    return distance * distance
