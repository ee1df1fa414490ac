"""Distances from each voxel to the nearest voxel of another label, for all labels at once.

The squared distance is a minimum of parabolas along each axis in turn, of which only the lower envelope counts
(Felzenszwalb and Huttenlocher 2012, Theory of Computing 8, 415). Along a line, each run of equal labels is a problem of
its own, with a parabola of height 0 beside each end of the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.operators.compiled import njit


def label_distances(labels: npt.NDArray[Any], voxel_size: Sequence[float]) -> npt.NDArray[np.float32]:
    """The distance from the centre of each voxel to the nearest centre of a voxel of another label.

    The faces of the array are no boundary: what lies beyond them is unknown.

    Args:
        labels: (y, x) or (z, y, x). Label 0 is a label as the others.
        voxel_size: nanometres, one number for each axis.

    Returns:
        Nanometres; infinite where the whole array has one label.

    >>> label_distances(np.array([[0, 5, 5, 5], [5, 5, 5, 5]]), (12, 5)).tolist()
    [[5.0, 5.0, 10.0, 15.0], [12.0, 13.0, 15.620499610900879, 19.209373474121094]]
    """
    squared = np.full(labels.shape, np.inf, np.float64)
    for axis in range(labels.ndim - 1, -1, -1):
        _along(np.moveaxis(labels, axis, -1), np.moveaxis(squared, axis, -1), float(voxel_size[axis]))
    return np.sqrt(squared, out=squared).astype(np.float32)


def _along(labels: npt.NDArray[Any], squared: npt.NDArray[np.float64], size: float) -> None:
    """Take the distances along the last axis into account."""
    if labels.ndim == 2:
        _lines(labels, squared, size)
        return
    for plane, own in zip(labels, squared, strict=True):
        _lines(plane, own, size)


@njit
def _lines(labels: Any, squared: Any, size: float) -> None:
    """For each line of a plane, the lower envelope of the parabolas of each run of equal labels."""
    lines, length = labels.shape
    centre = np.empty(length + 2)  # of the parabolas of the envelope, in voxels
    height = np.empty(length + 2)  # their heights
    begin = np.empty(length + 3)  # where each begins to be the lowest
    own = np.empty(length)
    for line in range(lines):
        first = 0
        while first < length:
            last = first
            while last + 1 < length and labels[line, last + 1] == labels[line, first]:
                last += 1
            count = 0
            for place in range(first - 1, last + 2):
                beside = place < first or place > last
                if beside and (place < 0 or place == length):
                    continue
                high = 0.0 if beside else squared[line, place]
                if high == np.inf:
                    continue
                start = -np.inf
                while count:
                    step = place - centre[count - 1]
                    start = centre[count - 1] + step / 2 + (high - height[count - 1]) / (2 * size * size * step)
                    if start > begin[count - 1]:
                        break
                    count -= 1
                    start = -np.inf
                centre[count], height[count], begin[count] = place, high, start
                count += 1
            if count:
                begin[count] = np.inf
                lowest = 0
                for place in range(first, last + 1):
                    while begin[lowest + 1] < place:
                        lowest += 1
                    away = (place - centre[lowest]) * size
                    own[place] = away * away + height[lowest]
                for place in range(first, last + 1):
                    squared[line, place] = own[place]
            first = last + 1
