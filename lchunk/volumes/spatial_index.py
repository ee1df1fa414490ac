"""Names of the files that list the labels of each chunk for cloud-volume, in nanometres xyz.

cloud-volume computes the names that it reads, with float32 and float64 mixed, and writes as many decimals as the
resolution has (`SpatialIndex.index_file_paths_for_bbox` and `Bbox.to_filename` of cloud-volume 12). The names here
are made by the same steps, from numbers that keep these steps free of rounding trouble.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from lchunk.geometry.bbox import Triple
from lchunk.geometry.grid import Grid
from lchunk.volumes.volume import VoxelSize

MOST_DECIMALS = 6
"""Decimals of a voxel size in nanometres. Further ones change a name by less than 1 nm in a volume of 1 mm."""

NUDGE = 1 + 2.0**-32
"""Enlarges a side of a chunk by more than rounding in float64 reduces it, and by less than float32 resolves."""


@dataclass(frozen=True)
class SpatialIndex:
    """The index of a grid of chunks.

    Args:
        grid: the chunks, in voxels zyx.
        voxel_size: nanometres zyx.
    """

    grid: Grid
    voxel_size: VoxelSize

    def info(self) -> dict[str, Any]:
        """The entry of the index in the folder's `info`, xyz."""
        return {"resolution": self._resolution(), "chunk_size": self._chunk_size()}

    def names(self, index: Triple) -> list[str]:
        """The files of a chunk: one, or several if the volume does not begin at a whole nanometre.

        For a query of the whole volume cloud-volume cuts the decimals off the corner, for other queries it keeps them.
        The chunk's labels are then needed under both names. After the last chunk of an axis it may query one more.
        """
        decimals = self._decimals()
        exact, cut = [], []
        sides = zip(
            index[::-1], self.grid.counts[::-1], self.grid.bounds.start[::-1], self.grid.bounds.stop[::-1],
            self._resolution(), self._chunk_size(), strict=True,
        )  # fmt: skip
        for number, count, start, stop, size, step in sides:
            low, high = start * size, stop * size
            exact.append([_side(_advanced(low, step, number), step, high, decimals)])
            cut.append([_side(x, step, high, decimals) for x in _queried(low, high, step, number, number == count - 1)])
        return list(dict.fromkeys("_".join(sides) + ".spatial" for axes in (exact, cut) for sides in product(*axes)))

    def _resolution(self) -> list[float]:
        """Voxel size xyz; whole numbers as integers, because cloud-volume counts the decimals that are written."""
        sizes = [round(size, MOST_DECIMALS) for size in self.voxel_size[::-1]]
        return [int(size) if size == int(size) else size for size in sizes]

    def _decimals(self) -> int:
        return max(len(str(size).partition(".")[2]) for size in self._resolution())

    def _chunk_size(self) -> list[float]:
        """Sides of a chunk xyz. If the voxel size has decimals, a little more than a float32 above the true side.

        cloud-volume counts chunks with the side as float32, and steps from one to the next with the side as float64.
        If float32 rounds the side down, or the steps add up to less than the volume, it queries one chunk too many.
        """
        sides = [side * size for side, size in zip(self.grid.chunk_shape[::-1], self._resolution(), strict=True)]
        return [_above(side) for side in sides] if self._decimals() else sides


def _above(side: float) -> float:
    near = np.float32(side)
    while float(near) < side * NUDGE:  # compared as float64
        near = np.nextafter(near, np.float32(np.inf))
    return float(near) * NUDGE


def _advanced(low: float, step: float, steps: int) -> float:
    """The position of cloud-volume after some steps, which it adds one by one."""
    for _ in range(steps):
        low += step
    return low


def _queried(low: float, high: float, step: float, number: int, last: bool) -> Iterator[float]:
    """The starts of the cells that a query of the whole volume, with its ends cut to whole numbers, has for a chunk.

    Args:
        low: start of the volume, nanometres.
        high: end of the volume.
        step: side of a chunk.
        number: number of the chunk on this axis.
        last: whether the chunk is the last on this axis; it also gets the cells after it.
    """
    side = float(np.float32(step))
    end = math.trunc(high)
    for _ in range(2):  # cloud-volume grows the box to whole chunks twice
        end = math.trunc(math.ceil(math.trunc(end - low) / side) * side + low)
    x = _advanced(float(math.trunc(low)), step, number)
    while x < end:
        yield x
        if not last:
            return
        x += step


def _side(x: float, step: float, high: float, decimals: int) -> str:
    ends = sorted((x, min(x + step, high)))
    if not decimals:
        return "-".join(str(round(end)) for end in ends)
    return "-".join(f"{round(np.float32(end), decimals):.{decimals}f}" for end in ends)
