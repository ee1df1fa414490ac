"""Points in a volume: the voxel of each, and which of them lie in a chunk."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Bbox
from lchunk.geometry.grid import Grid

Numbers = npt.NDArray[np.int64]

ROUNDED = 2.0**-20
"""Parts of a voxel by which a place may be too low, because its file or a product with the voxel size was rounded."""


def voxels_at(places: npt.NDArray[np.floating[Any]], voxel_size: tuple[float, float, float]) -> Numbers:
    """The voxel that each place lies in: voxel n reaches from n to n + 1 times its size.

    Args:
        places: (n, 3) nanometres zyx, from the low corner of voxel 0.
        voxel_size: nanometres zyx.

    Returns:
        (n, 3) voxels zyx, at most 2^62 from 0.

    >>> voxels_at(np.array([[3 * 11.24, -0.5, 4.0]]), (11.24, 4, 4)).tolist()
    [[3, -1, 1]]
    """
    voxels: Numbers = np.floor(np.clip(places / voxel_size + ROUNDED, -(2.0**62), 2.0**62)).astype(np.int64)
    return voxels


class PointsInGrid:
    """Points, ordered by the chunks of a grid, so that those of a chunk are found at once.

    Args:
        voxels: (n, 3) zyx; those outside the grid are in no chunk.
        grid: the chunks.
    """

    def __init__(self, voxels: Numbers, grid: Grid) -> None:
        self.voxels = voxels
        self.grid = grid
        after_start, before_stop = voxels >= grid.bounds.start, voxels < grid.bounds.stop
        self.inside: npt.NDArray[np.bool_] = np.logical_and.reduce(after_start & before_stop, axis=1)
        rows = np.flatnonzero(self.inside)
        chunk = (voxels[rows] - grid.bounds.start) // grid.chunk_shape
        keys = self._key(chunk.T)
        order = np.argsort(keys, kind="stable")
        self._keys, self._rows = keys[order], rows[order]

    def _key(self, index: Any) -> Any:
        _, rows, columns = self.grid.counts
        z, y, x = index
        return (z * rows + y) * columns + x

    def within(self, bbox: Bbox) -> Numbers:
        """The points in a box of whole chunks, ascending."""
        z, y, x = self.grid.span(bbox)
        if not len(x):
            return np.empty(0, np.int64)
        first = self._key(np.meshgrid(z, y, x[0], indexing="ij")).ravel()
        starts, stops = (np.searchsorted(self._keys, first + more) for more in (0, len(x)))
        parts = [self._rows[a:b] for a, b in zip(starts, stops, strict=True) if a < b]
        return np.sort(np.concatenate(parts)) if parts else np.empty(0, np.int64)

    def box_of(self, rows: Numbers) -> Bbox:
        """The smallest box with the voxels of some points; an empty one if there are none."""
        if not len(rows):
            return Bbox(self.grid.bounds.start, self.grid.bounds.start)
        low, high = self.voxels[rows].min(axis=0), self.voxels[rows].max(axis=0) + 1
        (z, y, x), (z_end, y_end, x_end) = low.tolist(), high.tolist()
        return Bbox((z, y, x), (z_end, y_end, x_end))
