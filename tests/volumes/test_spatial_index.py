"""The spatial index: cloud-volume itself computes which files it reads."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from cloudvolume.datasource.precomputed.spatial_index import SpatialIndex as Reader
from cloudvolume.lib import Bbox as XyzBox
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lchunk.geometry.bbox import Bbox
from lchunk.geometry.grid import Grid
from lchunk.volumes.spatial_index import SpatialIndex

SIZES = (40.0, 4.0, 8.0, 4.5, 32.5, 4.1, 3.3, 3.7, 33.33, 4.17, 10 / 3, 40.1234567, 0.5, 1000 / 7)
axis = st.tuples(
    st.sampled_from(SIZES), st.one_of(st.integers(-40, 40), st.integers(-(10**5), 10**5)), st.integers(1, 90),
    st.integers(3, 33),
)  # fmt: skip


def reader_of(index: SpatialIndex) -> tuple[Reader, list[str]]:
    """cloud-volume's index of the same volume, and the list of the files that it reads from now on."""
    bounds, info, asked = index.grid.bounds, index.info(), []
    box = XyzBox(bounds.start[::-1], bounds.stop[::-1])
    config = SimpleNamespace(spatial_index_db=None, progress=False)
    reader = Reader("file:///nowhere", box, info["chunk_size"], config=config, resolution=info["resolution"])

    def fetch(files: Any, progress: object = None) -> dict[str, bytes]:
        asked.extend(files)
        return dict.fromkeys(asked, b"{}")

    reader.fetch_index_files = fetch
    return reader, asked


@settings(max_examples=150)
@given(z=axis, y=axis, x=axis)
@example(z=(40.0, -3, 14, 8), y=(4.0, -5, 30, 16), x=(4.0, -7, 34, 16))
@example(z=(33.33, 3, 14, 8), y=(4.17, 5, 30, 16), x=(4.17, 7, 34, 16))
@example(z=(32.5, 0, 14, 7), y=(4.5, 0, 32, 16), x=(4, 10**5, 48, 16))
@example(z=(0.5, 0, 14, 8), y=(0.5, 1, 3, 3), x=(0.5, -1, 34, 16))
def test_cloud_volume_asks_for_files_that_are_there(z: tuple, y: tuple, x: tuple) -> None:
    sizes, starts, shape, chunk = zip(z, y, x, strict=True)
    grid = Grid(Bbox.of(starts, shape), chunk)
    index = SpatialIndex(grid, sizes)
    names = {number: index.names(number) for number in grid}
    reader, asked = reader_of(index)
    assert sorted(reader.index_file_paths_for_bbox(reader.physical_bounds)) == sorted(n[0] for n in names.values())
    there = [name for own in names.values() for name in own]
    assert len(there) == len(set(there))  # no chunk writes over another's
    reader.query(XyzBox.create(reader.physical_bounds))
    assert asked
    assert set(asked) <= set(there)


def test_whole_numbers_of_nanometres_are_named_without_decimals_and_once() -> None:
    index = SpatialIndex(Grid(Bbox((-3, -5, -7), (11, 25, 27)), (8, 16, 16)), (40.0, 4.0, 4.0))
    assert index.info() == {"resolution": [4, 4, 40], "chunk_size": [64, 64, 320]}
    assert index.names((1, 1, 2)) == ["100-108_44-100_200-440.spatial"]


def test_every_number_has_the_decimals_of_the_finest_voxel_size() -> None:
    index = SpatialIndex(Grid(Bbox((0, 0, 0), (14, 30, 34)), (8, 16, 16)), (32.5, 4.0, 4.17))
    assert index.names((0, 1, 2)) == ["133.44-141.78_64.00-120.00_0.00-260.00.spatial"]


def test_a_corner_between_nanometres_has_the_name_of_a_whole_query_too() -> None:
    index = SpatialIndex(Grid(Bbox((0, 0, 1), (8, 16, 17)), (8, 16, 16)), (40.0, 4.0, 4.5))
    assert index.names((0, 0, 0)) == ["4.5-76.5_0.0-64.0_0.0-320.0.spatial", "4.0-76.0_0.0-64.0_0.0-320.0.spatial"]


def test_a_grid_of_many_chunks_is_followed_to_its_end() -> None:
    grid = Grid(Bbox((0, 0, 11), (8, 16, 11 + 64 * 3000 + 5)), (8, 16, 64))
    index = SpatialIndex(grid, (33.33, 4.17, 4.17))
    reader, _ = reader_of(index)
    wanted = list(reader.index_file_paths_for_bbox(reader.physical_bounds))
    assert len(wanted) == len(grid) == 3001
    assert [index.names((0, 0, n))[0] for n in (0, 1, 1777, 2999, 3000)] == [
        wanted[n] for n in (0, 1, 1777, 2999, 3000)
    ]


@pytest.mark.parametrize("size", SIZES)
def test_the_resolution_stays_that_of_the_voxels(size: float) -> None:
    info = SpatialIndex(Grid(Bbox((0, 0, 0), (9, 9, 9)), (4, 5, 6)), (size, 4.0, size)).info()
    assert np.allclose(info["resolution"], (size, 4, size), rtol=0, atol=5e-7)
    assert np.allclose(info["chunk_size"], (6 * size, 20, 4 * size), rtol=3e-7)
