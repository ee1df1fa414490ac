"""Region graphs: against a plain count, and parts that add up to the whole."""

from collections import defaultdict

import numpy as np
import pytest

from lchunk.geometry.bbox import Bbox
from lchunk.geometry.grid import Grid
from lchunk.operators.pair_sums import added
from lchunk.operators.region_graph import ONE, fragment_sizes, region_graph
from tests.conftest import smooth_affinities

SHAPE = (9, 14, 16)


def volume(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 2**40, (3, 4, 4)).astype(np.uint64) * (rng.random((3, 4, 4)) < 0.9)
    return np.kron(coarse, np.ones((3, 4, 4), np.uint64))[: SHAPE[0], : SHAPE[1], : SHAPE[2]], smooth_affinities(
        SHAPE, seed
    )


def graph_of(fragments: np.ndarray, affinities: np.ndarray, chunk_shape: tuple[int, int, int]) -> dict:
    around = np.pad(fragments, ((1, 0),) * 3)
    grid = Grid(Bbox((0, 0, 0), SHAPE), chunk_shape)
    tables = []
    for chunk in map(grid.chunk, grid):
        seen = chunk.grown((1, 1, 1), (0, 0, 0)).slices((-1, -1, -1))
        part = affinities[(slice(None), *chunk.slices())]
        tables.append(region_graph(around[seen], part, start=chunk.start, volume_shape=SHAPE))
    return added(tables)


@pytest.mark.parametrize("seed", range(3))
def test_counts_and_means_are_those_of_a_plain_loop(seed: int) -> None:
    fragments, affinities = volume(seed)
    expected: dict[tuple[int, int], list[float]] = defaultdict(list)
    for axis in range(3):
        for here in np.ndindex(*SHAPE):
            there = tuple(i - (a == axis) for a, i in enumerate(here))
            u, v = int(fragments[here]), int(fragments[there])
            if there[axis] >= 0 and u and v and u != v:
                expected[min(u, v), max(u, v)].append(float(affinities[(2 - axis, *here)]))
    graph = graph_of(fragments, affinities, SHAPE)
    assert list(zip(graph["u"].tolist(), graph["v"].tolist(), strict=True)) == sorted(expected)
    pairs = list(zip(graph["u"].tolist(), graph["v"].tolist(), strict=True))
    assert graph["count"].tolist() == [len(expected[pair]) for pair in pairs]
    means = graph["sum"] / graph["count"] / ONE
    assert means == pytest.approx([np.mean(expected[pair]) for pair in pairs], abs=2e-6)


@pytest.mark.parametrize("chunk_shape", [(5, 7, 8), (2, 3, 16), (1, 1, 1)])
def test_chunks_add_up_to_the_whole_bit_by_bit(chunk_shape: tuple[int, int, int]) -> None:
    fragments, affinities = volume(5)
    whole, parts = graph_of(fragments, affinities, SHAPE), graph_of(fragments, affinities, chunk_shape)
    assert all(np.array_equal(whole[name], parts[name]) for name in ("u", "v", "sum", "count"))


def test_equal_affinities_give_means_that_differ() -> None:
    fragments = np.arange(1, 1 + np.prod(SHAPE), dtype=np.uint64).reshape(SHAPE)
    graph = graph_of(fragments, np.full((3, *SHAPE), 0.5, np.float32), SHAPE)
    means = graph["sum"] / graph["count"]
    assert np.abs(means / ONE - 0.5).max() < 2e-6
    assert len(np.unique(means)) > 0.5 * len(means)


def test_many_fragments_fit() -> None:
    fragments = np.arange(1, 1 + 40**3, dtype=np.uint64).reshape(40, 40, 40)
    affinities = np.full((3, 40, 40, 40), 0.25, np.float32)
    graph = region_graph(np.pad(fragments, ((1, 0),) * 3), affinities, start=(0, 0, 0), volume_shape=(40, 40, 40))
    assert len(graph["u"]) == 3 * 39 * 40 * 40
    assert (graph["count"] == 1).all()


def test_sizes_leave_background_out() -> None:
    labels, sizes = fragment_sizes(np.array([[[0, 5, 5], [9, 0, 5]]], np.uint64))
    assert (labels.tolist(), sizes.tolist()) == ([5, 9], [3, 1])


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="one voxel longer"):
        region_graph(
            np.zeros((2, 2, 2), np.uint64), np.zeros((3, 2, 2, 2), np.float32), start=(0, 0, 0), volume_shape=(2, 2, 2)
        )
