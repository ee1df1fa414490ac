"""Points in the chunks of a grid."""

from __future__ import annotations

import numpy as np
import pytest

from lchunk.geometry.bbox import Bbox
from lchunk.geometry.grid import Grid
from lchunk.operators.points import PointsInGrid, voxels_at

BOUNDS = Bbox((-5, 100, 7), (8, 131, 30))


@pytest.mark.parametrize("shape", [(13, 31, 23), (4, 9, 5), (5, 31, 6)])
def test_each_point_inside_is_in_its_chunk_alone_and_boxes_are_tight(shape: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(3)
    voxels = rng.integers(np.array(BOUNDS.start) - 3, np.array(BOUNDS.stop) + 3, (500, 3))
    grid = Grid(BOUNDS, shape)
    points = PointsInGrid(voxels, grid)
    rows = np.arange(len(voxels))

    def brute(bbox: Bbox) -> np.ndarray:
        return rows[((voxels >= bbox.start) & (voxels < bbox.stop)).all(axis=1)]

    for index in grid:
        chunk = grid.chunk(index)
        inside = points.within(chunk)
        assert np.array_equal(inside, brute(chunk))
        box = points.box_of(inside)
        assert chunk.contains(box)
        assert (len(inside) == 0) == (box.size == 0)
        if len(inside):
            assert np.array_equal(voxels[inside].min(axis=0), box.start)
            assert np.array_equal(voxels[inside].max(axis=0) + 1, box.stop)
    assert np.array_equal(points.within(BOUNDS), brute(BOUNDS))
    assert np.array_equal(np.flatnonzero(points.inside), brute(BOUNDS))
    block = Bbox(BOUNDS.start, grid.chunk((0, grid.counts[1] // 2, grid.counts[2] // 2)).stop)
    assert np.array_equal(points.within(block), brute(block))


@pytest.mark.parametrize("size", [4.0, 8.6, 11.24, 33.333333, 1 / 3])
def test_products_with_the_voxel_size_lie_in_their_voxel(size: float) -> None:
    voxels = np.stack([np.arange(-5000, 5000)] * 3, axis=1)
    assert np.array_equal(voxels_at(voxels * size, (size, size, size)), voxels)
    assert np.array_equal(voxels_at(np.round((voxels + 0.5) * size, 3), (size, size, size)), voxels)
    assert voxels_at(np.full((1, 3), 1e300), (size, size, size)).min() > 2**60
