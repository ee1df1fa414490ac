"""Cells: the same in every part of a volume, and those of the nearest points."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from lchunk.geometry.bbox import Bbox
from lchunk.operators import cells as module
from lchunk.operators.cells import POINTS, cells, largest_label
from tests.operators.parts import parts_of

BOUNDS = Bbox.of((-13, 5, -30), (21, 17, 40))
SIZE = (40.0, 4.0, 4.0)
DIAMETER = 30.0


@given(parts_of(BOUNDS), st.sampled_from([((1.0, 1.0, 1.0), 6.0), (SIZE, DIAMETER), ((3.0, 5.0, 7.0), 500.0)]))
def test_every_part_has_the_voxels_of_the_whole(part: Bbox, form: tuple[tuple[float, float, float], float]) -> None:
    size, diameter = form
    whole = cells(BOUNDS, BOUNDS, diameter=diameter, voxel_size=size, seed=3)
    for own, expected in zip(cells(part, BOUNDS, diameter=diameter, voxel_size=size, seed=3), whole, strict=True):
        assert np.array_equal(own, expected[part.slices(BOUNDS.start)])


def test_a_cell_is_what_is_nearest_to_its_point() -> None:
    gaps, labels = cells(BOUNDS, BOUNDS, diameter=DIAMETER, voxel_size=SIZE)
    side, size = DIAMETER * POINTS ** (1 / 3), np.array(SIZE)
    low, shape = module._blocks(BOUNDS, size, side)
    points = np.empty((*shape, POINTS, 3))
    module._scatter(points, low, np.uint64(0))
    centres = np.moveaxis(np.indices(BOUNDS.shape), 0, -1) + BOUNDS.start + 0.5
    distances, nearest = cKDTree(points.reshape(-1, 3) * side).query(centres * size, k=2)
    assert np.array_equal(labels, nearest[..., 0] + 1)
    np.testing.assert_allclose(gaps, distances[..., 1] - distances[..., 0], atol=1e-3)


def test_points_lie_anywhere_in_their_blocks() -> None:
    points = np.empty((5, 6, 7, POINTS, 3))
    module._scatter(points, np.array([-2, 0, 3]), np.uint64(0))
    corners = np.moveaxis(np.indices((5, 6, 7)), 0, -1) + np.array([-2, 0, 3])
    within = points - corners[..., None, :]
    assert within.min() >= 0
    assert within.max() < 1
    within = within.reshape(-1, 3)
    assert len(np.unique(within)) == within.size
    assert np.abs(within.mean(axis=0) - 0.5).max() < 4 * 12**-0.5 * len(within) ** -0.5
    assert np.abs(np.corrcoef(within.T) - np.eye(3)).max() < 4 * len(within) ** -0.5


def test_cells_have_the_volume_that_was_asked_for_and_labels_up_to_the_largest() -> None:
    bounds = Bbox.of((0, 0, 0), (60, 60, 60))
    _, labels = cells(bounds, bounds, diameter=6)
    inner = labels[12:48, 12:48, 12:48]
    # each cell counts as the share of it that is inside
    volumes = np.bincount(labels.ravel().astype(np.int64))
    assert np.sum(1 / volumes[inner]) == pytest.approx(36**3 / 6**3, rel=0.05)
    assert labels.min() >= 1
    assert labels.max() <= largest_label(bounds, diameter=6) < 4 * labels.max()


def test_another_seed_has_other_points() -> None:
    scattered = np.empty((3, 5, 5, 5, POINTS, 3))
    for points, seed in zip(scattered, (0, 1, 2**64 - 1), strict=True):
        module._scatter(points, np.array([0, 0, 0]), np.uint64(seed))
    # not those of other blocks either
    assert len(np.unique(scattered % 1)) == scattered.size


def test_wrong_sizes_and_boxes_are_refused() -> None:
    for diameter, size in ((0, SIZE), (float("nan"), SIZE), (6, (1, 1, 0)), (6, (1, 1, float("inf")))):
        with pytest.raises(ValueError, match="diameter and voxel size must be above 0"):
            cells(BOUNDS, BOUNDS, diameter=diameter, voxel_size=size)
    with pytest.raises(ValueError, match=r"must be inside the bounds -13-8_5-22_-30-10, got -13-8_5-22_-30-11"):
        cells(BOUNDS.grown((0, 0, 0), (0, 0, 1)), BOUNDS, diameter=6)
