"""Coarser levels: against a plain loop, and a published pyramid."""

from collections import Counter

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lchunk.operators import downsample
from lchunk.operators.downsample import mean_levels, mode_levels
from tests.conftest import DATA

shapes = st.tuples(*[st.integers(1, 9)] * 3)
factors = st.tuples(*[st.integers(1, 3)] * 3)


def boxes(voxels: np.ndarray, factor: tuple[int, int, int]):
    """Each voxel of the next level, and the values that it covers, z-major; the last plane pads the volume."""
    for place in np.ndindex(*(-(-side // f) for side, f in zip(voxels.shape, factor, strict=True))):
        sides = [
            [min(i * f + k, side - 1) for k in range(f)] for i, f, side in zip(place, factor, voxels.shape, strict=True)
        ]
        yield place, voxels[np.ix_(*sides)].ravel().tolist()


@given(shapes, factors, st.integers(0, 1000))
def test_the_mean_is_truncated_once(shape: tuple, factor: tuple, seed: int) -> None:
    voxels = np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)
    (level,) = mean_levels(voxels, factor, 1)
    assert level.dtype == np.uint8
    assert all(level[place] == sum(values) // len(values) for place, values in boxes(voxels, factor))


def test_further_levels_come_from_exact_sums() -> None:
    voxels = np.array([[[1, 2, 1, 2, 2, 1, 2, 1]]], np.uint8)
    levels = [level.ravel().tolist() for level in mean_levels(voxels, (1, 1, 2), 3)]
    assert levels == [[1, 1, 1, 1], [1, 1], [1]]
    assert [level.ravel().tolist() for level in mean_levels(voxels + np.uint8(1), (1, 1, 2), 3)][2] == [2]
    assert [lv.ravel().tolist() for lv in mean_levels(np.array([[[1, 2, 2, 3]]], np.uint8), (1, 1, 2), 2)] == [
        [1, 2],
        [2],
    ]


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32"])
@pytest.mark.parametrize("sparse", [False, True])
def test_sums_do_not_overflow(dtype: str, sparse: bool) -> None:
    most = np.iinfo(dtype).max
    for level in mean_levels(np.full((16, 16, 16), most, dtype), (2, 2, 2), 4, sparse=sparse):
        assert level.dtype == dtype
        assert (level == most).all()


@given(shapes, factors, st.integers(0, 1000))
def test_sparse_levels_leave_out_zeros(shape: tuple, factor: tuple, seed: int) -> None:
    voxels = np.random.default_rng(seed).integers(0, 4, shape)
    (mean,) = mean_levels(voxels.astype(np.uint8), factor, 1, sparse=True)
    (mode,) = mode_levels(voxels.astype(np.uint64), factor, 1, sparse=True)
    for place, values in boxes(voxels, factor):
        found = [value for value in values if value]
        assert mean[place] == (sum(found) // len(found) if found else 0)
        counts = Counter(found or [0])
        assert counts[int(mode[place])] == max(counts.values())


def test_channels_stay() -> None:
    voxels = np.random.default_rng(0).random((3, 4, 6, 8)).astype(np.float32)
    (level,) = mean_levels(voxels, (2, 2, 2), 1)
    assert np.allclose(level, voxels.reshape(3, 2, 2, 3, 2, 4, 2).mean(axis=(2, 4, 6)))


@given(st.tuples(st.integers(1, 3), st.integers(1, 7), st.integers(1, 7)), st.integers(0, 1000))
def test_the_quick_way_gives_the_same_modes(shape: tuple, seed: int) -> None:
    labels = np.random.default_rng(seed).integers(0, 4, shape).astype(np.uint64)
    padded = downsample._padded(labels, (1, 2, 2))
    assert np.array_equal(downsample._modes_of_four(padded), downsample._modes(padded, (1, 2, 2), False))


@given(shapes, factors, st.integers(0, 1000))
def test_the_mode_is_a_most_frequent_label(shape: tuple, factor: tuple, seed: int) -> None:
    labels = np.random.default_rng(seed).integers(0, 4, shape).astype(np.uint64)
    (level,) = mode_levels(labels, factor, 1)
    for place, values in boxes(labels, factor):
        assert values.count(int(level[place])) == max(Counter(values).values())


def test_the_mode_of_two_by_two_is_the_field_s() -> None:
    for a, b, c, d in np.ndindex(4, 4, 4, 4):
        (level,) = mode_levels(np.array([[[a, b], [c, d]]], np.uint64), (1, 2, 2), 1)
        expected = a if a in (b, c) else b if b == c else d
        assert level.item() == expected, (a, b, c, d)


@pytest.mark.skipif(
    not (DATA / "pinky40_seg_pyramid.h5").exists(), reason="needs pinky40_seg_pyramid.h5: set LCHUNK_DATA to its folder"
)
def test_a_published_pyramid_is_reproduced() -> None:
    with h5py.File(DATA / "pinky40_seg_pyramid.h5") as file:
        levels = []
        file.visititems(lambda name, node: levels.append(node[:]) if isinstance(node, h5py.Dataset) else None)
    levels.sort(key=lambda level: -level.size)
    ours = list(mode_levels(levels[0].astype(np.uint64), (1, 2, 2), 2))
    assert [np.array_equal(one, other) for one, other in zip(ours, levels[1:], strict=True)] == [True, True]
