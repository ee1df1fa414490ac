"""The memory of a chunk is the sum of its arrays, and the proposed chunk shape fits and costs least."""

import math

import numpy as np

from lchunk.geometry.bbox import Bbox
from lchunk.geometry.grid import Grid
from lchunk.operators.blending import Selection
from lchunk.operators.footprint import Footprint
from lchunk.operators.lattice import Lattice

LATTICE = Lattice(Bbox.of((-10, 20, 30), (200, 2000, 2100)), (20, 256, 256), (16, 192, 192), (4, 64, 64))
FOOTPRINT = Footprint(LATTICE, Selection(3), np.uint8, 2, 10**8)
CHUNK = (48, 512, 512)


def test_a_chunk_holds_its_arrays() -> None:
    grid = Grid(LATTICE.bounds, CHUNK)
    largest = max(LATTICE.reach(grid.chunk(index)).size for index in grid)
    written = 3 * math.prod(CHUNK)
    slab = 3 * 4 * 16 * 512 * 512
    batches = 4 * 2 * 4 * (1 + 3) * 20 * 256 * 256
    moved = slab * 4 // 16
    assert FOOTPRINT.host(CHUNK) == 3 * largest + 4 * written + slab + moved + batches + 10**8
    assert FOOTPRINT.device(CHUNK) == 2 * slab + batches + 10**8


def test_redundancy_counts_patches() -> None:
    grid = Grid(LATTICE.bounds, CHUNK)
    computed = sum(len(list(LATTICE.meeting(grid.chunk(index)))) for index in grid)
    assert math.isclose(FOOTPRINT.redundancy(CHUNK), computed / len(list(LATTICE.meeting(LATTICE.bounds))))


def test_the_proposed_chunk_fits_in_whole_strides_and_costs_less_the_more_there_is() -> None:
    inner = (4, 64, 64)
    costs = []
    for free in (6e8, 1e9, 4e9, 2e10):
        shape = FOOTPRINT.fitting(int(free), None, inner)
        assert shape is not None
        assert FOOTPRINT.host(shape) <= free
        assert all(side % step == 0 for side, step in zip(shape, (12, 128, 128), strict=True))
        costs.append(FOOTPRINT.redundancy(shape))
    assert costs == sorted(costs, reverse=True)
    assert costs[-1] < costs[0]
    assert FOOTPRINT.fitting(int(1e8), None, inner) is None


def test_many_workers_get_chunks_that_keep_all_of_them_busy() -> None:
    alone = FOOTPRINT.fitting(int(4e9), None, (4, 64, 64))
    shared = FOOTPRINT.fitting(int(4e9), None, (4, 64, 64), 16)
    assert alone is not None
    assert shared is not None

    def longest(shape: tuple[int, int, int], tasks: int) -> float:
        return FOOTPRINT.span(shape, 16, tasks)

    chunks = len(Grid(LATTICE.bounds, alone)), len(Grid(LATTICE.bounds, shared))
    assert longest(shared, chunks[1]) < longest(alone, chunks[0])
    assert longest(shared, chunks[1]) < longest(shared, 16)  # chunks in pairs and more are handed out unevenly
    by_eight = FOOTPRINT.fitting(int(4e9), None, (4, 64, 64), 16, lambda grid: -(-len(grid) // 8))
    assert by_eight is not None
    assert math.prod(by_eight) < math.prod(shared)


def test_on_a_device_its_memory_counts_too() -> None:
    small = FOOTPRINT.fitting(int(2e10), int(5e8), (4, 64, 64))
    assert small is not None
    assert FOOTPRINT.device(small) <= 5e8
    assert FOOTPRINT.host(small, blends=False) < FOOTPRINT.host(small)
