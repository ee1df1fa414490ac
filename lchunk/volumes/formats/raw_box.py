"""Read a box of an uncompressed array in a file; only the rows of the box are read.

If the file were mapped, its pages would count as the process's memory, and truncating it would kill the process.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

WIDE = 8
"""Whole rows are read, in one request, if the box has at least one in this many of their voxels."""


def read_box(
    path: Path, dtype: np.dtype[Any], offset: int, shape: Sequence[int], part: Sequence[slice]
) -> npt.NDArray[Any]:
    """Voxels of a box.

    Args:
        path: the file.
        dtype: type of a voxel in the file.
        offset: byte at which the array begins.
        shape: shape of the whole array, the last axis fastest.
        part: one slice per axis, at least one.

    Raises:
        EOFError: the file ends before the box.
    """
    voxels = np.empty([s.stop - s.start for s in part], dtype)
    if not voxels.size:
        return voxels
    lengths, sides = [1, *shape][-2:], [slice(0, 1), *part][-2:]
    outer_shape, outer = tuple(shape[:-2]), [range(s.start, s.stop) for s in part[:-2]]
    planes = voxels.reshape(-1, sides[0].stop - sides[0].start, sides[1].stop - sides[1].start)
    row = lengths[1] * dtype.itemsize
    number = os.open(path, os.O_RDONLY)
    try:
        for plane, place in zip(planes, itertools.product(*outer), strict=True):
            start = offset + (int(np.ravel_multi_index(place, outer_shape)) if place else 0) * lengths[0] * row
            _read_plane(number, plane, start + sides[0].start * row, row, sides[1])
    finally:
        os.close(number)
    return voxels


def _read_plane(number: int, plane: npt.NDArray[Any], start: int, row: int, columns: slice) -> None:
    """Read consecutive rows.

    Args:
        number: descriptor of the open file.
        plane: the array to fill.
        start: byte of the first row.
        row: bytes of a row.
        columns: the voxels of a row to read.
    """
    itemsize = plane.dtype.itemsize
    width = plane.shape[1] * itemsize
    if width == row:
        _fill(number, plane, start)
    elif width * WIDE >= row:
        rows = np.empty((len(plane), row // itemsize), plane.dtype)
        _fill(number, rows, start)
        plane[:] = rows[:, columns]
    else:
        for place, line in enumerate(plane):
            _fill(number, line, start + place * row + columns.start * itemsize)


def _fill(number: int, voxels: npt.NDArray[Any], start: int) -> None:
    left = voxels.view(np.uint8).reshape(-1).data
    while left:
        count = os.preadv(number, [left], start)
        if not count:
            raise EOFError(f"the file ends {len(left)} bytes too early")
        left, start = left[count:], start + count
