"""Region graphs: against a plain count, and parts that add up to the whole."""

from collections import defaultdict

import numpy as np
import pytest

from lchunk.geometry.bbox import Bbox
from lchunk.geometry.grid import Grid
from lchunk.operators.graph import COUNT, FIRST, HIGH_FACES, ONE, PAIR, SUM, Graph, ends_of, outside
from lchunk.operators.region_graph import region_graph
from tests.conftest import smooth_affinities

SHAPE = (9, 14, 16)
Edges = dict[tuple[int, int], tuple[int, int, int]]


def volume(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 2**40, (3, 4, 4)).astype(np.uint64) * (rng.random((3, 4, 4)) < 0.9)
    return np.kron(coarse, np.ones((3, 4, 4), np.uint64))[: SHAPE[0], : SHAPE[1], : SHAPE[2]], smooth_affinities(
        SHAPE, seed
    )


def graph_of(fragments: np.ndarray, affinities: np.ndarray, chunk: Bbox) -> Graph:
    """The graph of a chunk of the volume, from the voxels that a chunk may see."""
    own = fragments[chunk.slices()]
    ids, labels = np.unique(np.append(0, own.ravel()), return_inverse=True)
    around = np.pad(fragments, ((1, 0),) * 3)
    before = []
    for axis in range(3):
        start = tuple(a + (n != axis) for n, a in enumerate(chunk.start))
        stop = tuple(chunk.start[n] + 1 if n == axis else b + 1 for n, b in enumerate(chunk.stop))
        before.append(around[Bbox(start, stop).slices()].squeeze(axis))
    return region_graph(
        labels[1:].reshape(own.shape).astype(np.uint32), ids.astype(np.uint64),
        affinities[(slice(None), *chunk.slices())], start=chunk.start, volume_shape=SHAPE, before=before,
    )  # fmt: skip


def edges_of(graphs: list[Graph]) -> Edges:
    """Edges by their labels, added up."""
    total: Edges = {}
    for graph in graphs:
        u, v = (graph.nodes[ends].tolist() for ends in ends_of(graph.edges[:, PAIR]))
        for a, b, (_, weight, count, first) in zip(u, v, graph.edges.tolist(), strict=True):
            assert a < b
            old = total.get((a, b), (0, 0, first))
            total[a, b] = old[0] + weight, old[1] + count, min(old[2], first)
    return total


@pytest.mark.parametrize("seed", range(3))
def test_counts_means_and_first_voxels_are_those_of_a_plain_loop(seed: int) -> None:
    fragments, affinities = volume(seed)
    expected: dict[tuple[int, int], list[float]] = defaultdict(list)
    first: dict[tuple[int, int], int] = {}
    for here in np.ndindex(*SHAPE):
        for axis in range(3):
            there = tuple(i - (a == axis) for a, i in enumerate(here))
            u, v = int(fragments[here]), int(fragments[there])
            if there[axis] >= 0 and u and v and u != v:
                pair = min(u, v), max(u, v)
                expected[pair].append(float(affinities[(2 - axis, *here)]))
                first.setdefault(pair, 3 * int(np.ravel_multi_index(here, SHAPE)) + axis)
    graph = graph_of(fragments, affinities, Bbox((0, 0, 0), SHAPE))
    edges = edges_of([graph])
    assert len(edges) == len(graph.edges)
    assert {pair: (count, tie) for pair, (_, count, tie) in edges.items()} == {
        pair: (len(values), first[pair]) for pair, values in expected.items()
    }
    for pair, values in expected.items():
        assert edges[pair][0] / edges[pair][1] / ONE == pytest.approx(np.mean(values), abs=1e-7)
    assert (np.diff(graph.edges[:, FIRST]) > 0).all()
    labels, sizes = np.unique(fragments[fragments > 0], return_counts=True)
    assert np.array_equal(graph.nodes, labels)
    assert np.array_equal(graph.sizes, sizes)
    assert not graph.faces.any()


@pytest.mark.parametrize("chunk_shape", [(5, 7, 8), (2, 3, 16), (1, 1, 1)])
def test_chunks_add_up_to_the_whole_bit_by_bit(chunk_shape: tuple[int, int, int]) -> None:
    fragments, affinities = volume(5)
    grid = Grid(Bbox((0, 0, 0), SHAPE), chunk_shape)
    parts = [graph_of(fragments, affinities, chunk) for chunk in map(grid.chunk, grid)]
    assert edges_of(parts) == edges_of([graph_of(fragments, affinities, grid.bounds)])


def test_labels_at_high_faces_are_marked_where_the_volume_goes_on() -> None:
    fragments, affinities = volume(1)
    chunk = Bbox((0, 3, 8), (9, 9, 14))
    graph = graph_of(fragments, affinities, chunk)
    own = fragments[chunk.slices()]
    faces = dict(zip(graph.nodes.tolist(), graph.faces.tolist(), strict=True))
    for label, bits in faces.items():
        assert bool(bits & HIGH_FACES[0]) is False  # the chunk ends where the volume ends
        assert bool(bits & HIGH_FACES[1]) == (label in own[:, -1])
        assert bool(bits & HIGH_FACES[2]) == (label in own[:, :, -1])
    assert (graph.sizes[~np.isin(graph.nodes, own)] == 0).all()


def test_what_is_linked_across_a_face_is_listed() -> None:
    labels = np.array([[[1, 2]], [[1, 2]]], np.uint32)
    linked = [np.array([[True, False]]), np.zeros((2, 2), bool), np.zeros((2, 1), bool)]
    before = [np.array([[3, 4]], np.uint64), np.zeros((2, 2), np.uint64), np.zeros((2, 1), np.uint64)]
    graph = region_graph(
        labels, np.array([0, 9, 10], np.uint64), np.full((3, 2, 1, 2), 0.5, np.float32), start=(1, 0, 0),
        volume_shape=(3, 1, 2), before=before, linked=linked,
    )  # fmt: skip
    assert graph.nodes[graph.links].tolist() == [[9, 3]]
    assert edges_of([graph]).keys() == {(9, 10), (3, 9), (4, 10)}


def test_outside_is_decided_by_the_first_voxel() -> None:
    nodes = np.array([1, 1 + 16, 1 + 14 * 16, 9 * 14 * 16], np.uint64)
    assert outside(nodes, (1, 0, 0), (8, 14, 16), SHAPE).tolist() == [True, True, False, False]
    assert outside(nodes, (0, 0, 0), (1, 1, 16), SHAPE).tolist() == [False, True, True, True]


def test_many_fragments_fit() -> None:
    labels = np.arange(1, 1 + 40**3, dtype=np.uint32).reshape(40, 40, 40)
    affinities = np.full((3, 40, 40, 40), 0.25, np.float32)
    graph = region_graph(labels, np.arange(40**3 + 1, dtype=np.uint64), affinities)
    assert len(graph.edges) == 3 * 39 * 40 * 40
    assert (graph.edges[:, COUNT] == 1).all()
    assert (graph.edges[:, SUM] == ONE / 4).all()


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"labels must be \(2, 2, 2\)"):
        region_graph(np.zeros((2, 2, 3), np.uint32), np.zeros(1, np.uint64), np.zeros((3, 2, 2, 2), np.float32))
