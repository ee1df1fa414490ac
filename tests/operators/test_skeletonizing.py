"""Laws of skeletons: of a tube, a fork, a ring and a sphere; over chunks; and of their radii."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_edt, gaussian_filter, label

from lchunk.geometry.bbox import Bbox, triple
from lchunk.geometry.grid import Grid
from lchunk.operators.label_distances import label_distances
from lchunk.operators.skeleton_joining import edge_lengths, join, tidied
from lchunk.operators.skeletonizing import Skeleton, skeletonize

SAMPLE = Path(__file__).parents[2] / "sample" / "fib25.h5"
ISO = (10.0, 10.0, 10.0)
Size = tuple[float, float, float]


def tube(shape: tuple[int, int, int], size: Size, points: list[tuple[float, ...]], radius: float) -> np.ndarray:
    """The voxels whose centre is near a line through some points, nanometres."""
    places = np.stack(np.indices(shape), -1) * size
    near = np.zeros(shape, bool)
    for start, stop in pairwise(np.array(points, float)):
        along = np.clip((places - start) @ (stop - start) / ((stop - start) ** 2).sum(), 0, 1)
        near |= np.linalg.norm(places - start - along[..., None] * (stop - start), axis=-1) <= radius
    return near.astype(np.uint64)


def over_chunks(labels: np.ndarray, size: Size, shape: tuple[int, int, int], depth: float = 300) -> dict[int, Skeleton]:
    """The skeletons from the pieces of all chunks."""
    bounds = Bbox.of((-3, 5, 7), labels.shape)
    grid = Grid(bounds, shape)
    reach = triple(min(round(depth / side), length) for side, length in zip(size, shape, strict=True))
    pieces: dict[int, list[Skeleton]] = {}
    for chunk in map(grid.chunk, grid):
        seen = chunk.grown(reach, [side + 1 for side in reach]).clipped(bounds)
        own = skeletonize(
            labels[seen.slices(bounds.start)], voxel_size=size, start=seen.start, chunk=chunk, bounds=bounds,
            reach=reach,
        )  # fmt: skip
        for name, piece in own.items():
            pieces.setdefault(name, []).append(piece)
    return {name: join(own) for name, own in pieces.items()}


def degrees(skeleton: Skeleton) -> np.ndarray:
    return np.bincount(skeleton.edges.ravel(), minlength=len(skeleton.voxels))


@pytest.mark.parametrize("size", [ISO, (40.0, 8.0, 8.0)])
def test_the_skeleton_of_a_straight_tube_is_its_axis(size: Size) -> None:
    middle, length = (400.0, 160.0), 1600.0
    shape = (int(800 / size[0]), int(320 / size[1]), int(length / size[2]))
    rod = tube(shape, size, [(*middle, 0.0), (*middle, length)], 100)
    skeleton = tidied(skeletonize(rod, voxel_size=size)[1], size, ticks=500, dust=0)
    assert skeleton is not None
    assert sorted(set(degrees(skeleton))) == [1, 2], "no branch"
    assert (degrees(skeleton) == 1).sum() == 2
    assert length * 0.98 < edge_lengths(skeleton.voxels, skeleton.edges, size).sum() < length * 1.02
    inner = np.abs(skeleton.voxels[:, 2] * size[2] - length / 2) < length / 4
    axis = np.linalg.norm(skeleton.voxels[inner, :2] * size[:2] - np.array(middle), axis=1)
    assert axis.max() <= np.linalg.norm(size[:2])


def test_a_fork_has_one_branch_and_three_ends() -> None:
    middle = (150.0, 600.0, 600.0)
    fork = np.zeros((30, 120, 130), np.uint64)
    for end in ((150.0, 100.0, 150.0), (150.0, 1100.0, 150.0), (150.0, 600.0, 1200.0)):
        fork |= tube(fork.shape, ISO, [middle, end], 60)
    skeleton = tidied(skeletonize(fork, voxel_size=ISO)[1], ISO, ticks=200, dust=0)
    assert skeleton is not None
    assert np.bincount(degrees(skeleton)).tolist()[1::2] == [3, 1]
    branch = skeleton.voxels[degrees(skeleton) == 3][0] * 10
    assert np.linalg.norm(branch - middle) < 120


def test_a_ring_becomes_one_tree_around_it() -> None:
    angle = np.linspace(0, 2 * np.pi, 60)
    points = np.stack([np.full(60, 100.0), 500 + 350 * np.sin(angle), 500 + 350 * np.cos(angle)], 1)
    ring = tube((20, 100, 100), ISO, points.tolist(), 60)
    for skeleton in (skeletonize(ring, voxel_size=ISO)[1], over_chunks(ring, ISO, (20, 33, 40))[1]):
        tree = tidied(skeleton, ISO, ticks=100, dust=0)
        assert tree is not None
        assert len(tree.edges) == len(tree.voxels) - 1
        assert 0.8 * 2 * np.pi * 350 < edge_lengths(tree.voxels, tree.edges, ISO).sum() < 1.15 * 2 * np.pi * 350


def test_pieces_of_two_chunks_share_the_deepest_voxel_of_the_plane() -> None:
    rod = tube((30, 30, 100), ISO, [(150, 150, 0), (150, 150, 990)], 80)
    bounds = Bbox.of((0, 0, 0), rod.shape)
    pieces = [
        skeletonize(rod, voxel_size=ISO, chunk=Bbox.of((0, 0, x), (30, 30, 50)), bounds=bounds, reach=(8, 8, 8))[1]
        for x in (0, 50)
    ]
    shared = {*map(tuple, pieces[0].voxels.tolist())} & {*map(tuple, pieces[1].voxels.tolist())}
    assert shared == {(15, 15, 50)}


def test_a_branch_beside_another_one_in_the_same_process_is_a_tick() -> None:
    x = np.arange(200)
    lanes = [np.stack([np.full(200, 0), np.full(200, lane), x], 1) for lane in (0, 5)]
    voxels = np.concatenate([*lanes, [[0, lane, 0] for lane in range(1, 5)]])
    edges = [[n, n + 1] for n in range(399) if n != 199]
    edges += [[0, 400], [400, 401], [401, 402], [402, 403], [403, 200]]
    for radius, left in ((100, 1), (30, 2)):
        both = join([Skeleton(voxels, np.full(len(voxels), radius, np.float32), np.array(edges))])
        found = tidied(both, ISO, ticks=60, dust=0)
        assert found is not None
        assert len(np.unique(found.voxels[found.voxels[:, 2] > 20, 1])) == left


def test_dust_is_dropped_by_its_cable_and_ticks_the_shortest_first() -> None:
    trunk = [[0, 0, x] for x in range(101)]
    twigs = [[0, y, 50] for y in range(1, 13)] + [[0, -y, 50] for y in range(1, 9)]
    bit = [[9, 9, x] for x in range(11)]
    edges = [[n, n + 1] for n in range(100)] + [[50, 101], [50, 113]]
    edges += [[n, n + 1] for n in (*range(101, 112), *range(113, 120), *range(121, 131))]
    whole = join([Skeleton(np.array(trunk + twigs + bit), np.full(132, 5, np.float32), np.array(edges))])
    for ticks, dust, left in ((0, 0, 132), (90, 0, 124), (130, 100, 112), (130, 101, 101), (90, 2000, 0)):
        found = tidied(whole, ISO, ticks=ticks, dust=dust)
        assert (0 if found is None else len(found.voxels)) == left


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 99), grid=st.tuples(*[st.integers(4, 15)] * 3), depth=st.sampled_from([0, 20, 300]))
@example(seed=1, grid=(11, 13, 14), depth=300)
@example(seed=1, grid=(12, 1, 15), depth=20)
def test_pieces_are_connected_exactly_where_labels_are(seed: int, grid: tuple[int, int, int], depth: float) -> None:
    noise = gaussian_filter(np.random.default_rng(seed).random((12, 14, 15)), 1)
    labels = np.digitize(noise, np.quantile(noise, (0.4, 0.8))).astype(np.uint64)
    found = over_chunks(labels, ISO, grid, depth)
    assert set(found) == {1, 2}
    for name, skeleton in found.items():
        parts, count = label(labels == name, np.ones((3, 3, 3)))
        own = parts[tuple((skeleton.voxels - (-3, 5, 7)).T)]
        assert set(own) == set(range(1, count + 1)), "vertices in every part of the label, and nowhere else"
        tree = tidied(skeleton, ISO, ticks=0, dust=0)
        assert tree is not None
        assert len(tree.voxels) - len(tree.edges) == count


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 99), size=st.tuples(*[st.floats(1, 50)] * 3))
def test_distances_of_all_labels_are_those_of_each(seed: int, size: Size) -> None:
    noise = gaussian_filter(np.random.default_rng(seed).random((9, 14, 15)), 1)
    labels = np.digitize(noise, np.quantile(noise, (0.3, 0.6))).astype(np.uint64)
    found = label_distances(labels, size)
    for name in range(3):
        own = labels == name
        assert np.allclose(found[own], distance_transform_edt(own, size)[own], rtol=1e-6)


def test_radius_is_the_distance_to_the_boundary_on_real_labels_and_grids_agree() -> None:
    with h5py.File(SAMPLE) as file:
        labels = file["volumes/labels/neuron_ids"][:].astype(np.uint64)
    cables = []
    for grid in ((96, 160, 160), (96, 80, 80), (48, 80, 160)):
        found = over_chunks(labels, ISO, grid)
        whole = {name: tidied(skeleton, ISO, ticks=500, dust=1000) for name, skeleton in found.items()}
        cables.append(
            {name: edge_lengths(one.voxels, one.edges, ISO).sum() for name, one in whole.items() if one is not None}
        )
        largest = max(cables[-1], key=lambda name: cables[-1][name])
        voxels = found[largest].voxels - (-3, 5, 7)
        true = distance_transform_edt(labels == largest, ISO)[tuple(voxels.T)]
        assert np.allclose(found[largest].radius, true, rtol=1e-6)
    total = [sum(cable.values()) for cable in cables]
    assert max(total) < 1.05 * min(total)
