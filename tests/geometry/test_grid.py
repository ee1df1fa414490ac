"""Laws of grids and their blocks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lchunk.geometry.bbox import Bbox
from lchunk.geometry.grid import Grid
from lchunk.geometry.regions import blocks

starts = st.tuples(*[st.integers(-20, 20)] * 3)
shapes = st.tuples(*[st.integers(1, 12)] * 3)
grids = st.builds(Grid, st.builds(Bbox.of, starts, shapes), shapes)


def cover(grid: Grid, boxes: list[Bbox]) -> np.ndarray:
    """How often each voxel of the grid's bounds lies in one of the boxes."""
    times = np.zeros(grid.bounds.shape, int)
    for box in boxes:
        times[box.slices(grid.bounds.start)] += 1
    return times


@given(grids)
def test_chunks_tile_the_bounds_once(grid: Grid) -> None:
    chunks = [grid.chunk(index) for index in grid]
    assert (cover(grid, chunks) == 1).all()
    assert len(chunks) == len(grid)
    assert all(grid.index_of(chunk) == index for chunk, index in zip(chunks, grid, strict=True))


@given(grids, st.integers(1, 40))
def test_blocks_tile_the_bounds_with_whole_chunks(grid: Grid, most: int) -> None:
    handed_out = blocks(grid, most)
    boxes = [handed_out.chunk(index) for index in handed_out]
    assert len(boxes) <= most
    assert (cover(grid, boxes) == 1).all()
    assert all(grid.aligned(box) for box in boxes)


@given(grids)
def test_a_block_is_one_chunk_while_the_grid_is_small(grid: Grid) -> None:
    assert blocks(grid, len(grid)) == grid


@given(grids, st.builds(Bbox.of, starts, shapes))
def test_meeting_finds_exactly_the_chunks_that_share_a_voxel(grid: Grid, bbox: Bbox) -> None:
    expected = [index for index in grid if grid.chunk(index).clipped(bbox).size]
    assert list(grid.meeting(bbox)) == expected


def test_a_box_that_is_no_chunk_has_no_index() -> None:
    grid = Grid(Bbox((0, 0, 0), (10, 10, 10)), (4, 4, 4))
    with pytest.raises(ValueError, match="must be a chunk"):
        grid.index_of(Bbox((0, 0, 0), (4, 4, 5)))
    assert not grid.aligned(Bbox((0, 0, 0), (4, 4, 5)))
    assert grid.aligned(Bbox((8, 8, 8), (10, 10, 10)))
