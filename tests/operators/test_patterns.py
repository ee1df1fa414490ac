"""Patterns: the same in every part of a volume."""

from __future__ import annotations

import cc3d
import numpy as np
import pytest
from hypothesis import given

from lchunk.geometry.bbox import Bbox
from lchunk.operators.cells import cells
from lchunk.operators.patterns import INSIDE, LOUD, MEMBRANE, speckles, stained_cells, waves
from tests.operators.parts import parts_of

BOUNDS = Bbox.of((-3, 5, -30), (9, 17, 40))
SIZE = (40.0, 4.0, 4.0)


@given(parts_of(BOUNDS))
def test_every_part_has_the_voxels_of_the_whole(part: Bbox) -> None:
    inside = part.slices(BOUNDS.start)
    for own, expected in zip(waves(part, BOUNDS), waves(BOUNDS, BOUNDS), strict=True):
        assert np.array_equal(own, expected[inside])
    one = speckles(part, BOUNDS, dtype=np.uint16, seed=5)
    assert np.array_equal(one, speckles(BOUNDS, BOUNDS, dtype=np.uint16, seed=5)[inside])
    made, whole = (stained_cells(box, BOUNDS, diameter=40, voxel_size=SIZE, seed=5) for box in (part, BOUNDS))
    for own, expected in zip(made, whole, strict=True):
        assert np.array_equal(own, expected[inside])


def test_waves_are_those_of_chunkflow() -> None:
    axes = np.meshgrid(*(np.linspace(0, 1, side) for side in BOUNDS.shape), indexing="ij")
    expected = np.abs(np.sin(4 * sum(axes)))
    intensities, bands = waves(BOUNDS, BOUNDS)
    np.testing.assert_allclose(intensities, expected, atol=1e-14)
    assert 0 <= intensities.min() <= intensities.max() <= 1
    assert np.array_equal(bands, cc3d.connected_components((expected > 0.5).astype(np.uint8), connectivity=6))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint64, np.float32])
def test_speckles_fill_the_range_of_their_type_around_a_black_box(dtype: type) -> None:
    bounds = Bbox.of((0, 0, 0), (20, 30, 41))
    values = speckles(bounds, bounds, dtype=dtype)
    assert values.dtype == dtype
    middle = (slice(5, 15), slice(7, 22), slice(10, 30))
    assert not values[middle].any()
    most = 1 if np.dtype(dtype).kind == "f" else np.iinfo(dtype).max
    shares = values.astype(float) / most
    around = np.ones(bounds.shape, bool)
    around[middle] = False
    assert np.histogram(shares[around], 10, (0, 1))[0] == pytest.approx(np.full(10, around.sum() / 10), rel=0.1)
    assert np.count_nonzero(shares[around] == 0) < around.sum() / 100


def test_cells_are_light_inside_and_dark_on_membranes() -> None:
    intensities, labels = stained_cells(BOUNDS, BOUNDS, diameter=60, voxel_size=SIZE, seed=5)
    gaps, expected = cells(BOUNDS, BOUNDS, diameter=60, voxel_size=SIZE, seed=5)
    assert np.array_equal(labels, expected)
    far, near = intensities[gaps >= 10], intensities[gaps < 0.5]
    assert len(near) > 10
    assert INSIDE - LOUD <= far.min() < INSIDE - 0.9 * LOUD
    assert INSIDE - 0.1 * LOUD < far.max() <= INSIDE
    assert MEMBRANE <= near.min() <= near.max() < MEMBRANE + 0.05
