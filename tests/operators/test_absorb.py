"""Absorption of small segments: boxes of any grid decide what the whole volume decides, round by round."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import label as components_of
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from lchunk.geometry.bbox import Bbox, triple
from lchunk.geometry.grid import Grid
from lchunk.operators.absorb import absorb
from lchunk.operators.graph import COUNT, FIRST, HIGH_FACES, LOW_FACES, PAIR, SUM, Numbers, pairs_of
from lchunk.operators.waiting import FOREVER, Decided, Waiting, put_together
from lchunk.tasks.levels import level_grid, shared_faces, top_level

Rows = npt.NDArray[np.int64]
"""Rows of u, v, affinity, voxels, place: edges between two voxels of different segments, or sums of them."""


def in_rounds(sizes: dict[int, int], rows: Rows, min_voxels: int) -> dict[int, int]:
    """The segment of each label, from the rule as it is told: one volume, no boxes."""
    name = {label: label for label in sizes}
    while True:
        voxels = Counter[int]()
        for label, size in sizes.items():
            voxels[name[label]] += size
        edges: dict[frozenset[int], list[int]] = defaultdict(lambda: [0, 0, 1 << 62])
        for u, v, affinity, voxels_between, place in rows.tolist():
            if name[u] != name[v]:
                edge = edges[frozenset((name[u], name[v]))]
                edge[:] = edge[0] + affinity, edge[1] + voxels_between, min(edge[2], place)
        strongest: dict[int, tuple[float, int, frozenset[int]]] = {}
        for pair, (total, count, first) in edges.items():
            for end in pair:
                if voxels[end] < min_voxels:
                    strongest[end] = min(strongest.get(end, (np.inf, 0, pair)), (-total / count, first, pair))
        if not strongest:
            return name
        pairs = [sorted(pair) for _, _, pair in strongest.values()]
        names = sorted(voxels)
        ends = np.searchsorted(names, pairs).T
        _, group = connected_components(
            coo_matrix((np.ones(len(pairs)), ends), shape=(len(names),) * 2), directed=False
        )
        members: dict[int, list[int]] = defaultdict(list)
        for each, number in zip(names, group.tolist(), strict=True):
            members[number].append(each)
        kept = {}
        for together in members.values():
            large = [each for each in together if voxels[each] >= min_voxels]
            assert len(large) <= 1, "two large segments are never joined"
            kept.update(dict.fromkeys(together, (large or together)[0]))
        name = {label: kept[own] for label, own in name.items()}


def segments(seed: int, shape: tuple[int, ...], count: int) -> Numbers:
    """Connected segments, some with background between them; each named by its first voxel."""
    rng = np.random.default_rng(seed)
    points = rng.random((count, 3)) * shape
    where = np.indices(shape).reshape(3, -1).T
    far = ((where[:, None] - points) ** 2).sum(axis=2) + rng.random(count) * 20
    nearest = far.argmin(axis=1).reshape(shape) + 1
    nearest[rng.random(shape) < rng.choice([0, 0.15])] = 0
    labels = np.zeros(shape, np.int64)
    for each in np.unique(nearest[nearest > 0]):
        parts, number = components_of(nearest == each)
        for part in range(1, number + 1):
            inside = parts == part
            labels[inside] = 1 + np.flatnonzero(inside.ravel())[0]
    return labels


def edges_between(labels: Numbers, affinities: Numbers) -> Rows:
    """Rows of u, v, affinity, 1, place for each voxel and the one before it, if they have different labels."""
    rows = []
    places = 3 * np.arange(labels.size).reshape(labels.shape)
    for axis in range(3):
        here, there = np.moveaxis(labels, axis, 0)[1:], np.moveaxis(labels, axis, 0)[:-1]
        apart = (here != there) & (here > 0) & (there > 0)
        own = (here, there, np.moveaxis(affinities[axis], axis, 0)[1:], np.moveaxis(places + axis, axis, 0)[1:])
        u, v, affinity, place = (column[apart] for column in own)
        rows.append(np.stack([u, v, affinity, np.ones_like(u), place], axis=1))
    return np.concatenate(rows)


def waiting_of(box: Bbox, labels: Numbers, rows: Rows, sizes: dict[int, int], min_voxels: int) -> Waiting:
    """A chunk's labels, and the edges that it owns: those of its voxels to the ones before them."""
    at = np.stack(np.unravel_index(rows[:, 4] // 3, labels.shape), axis=1)
    own = rows[((at >= box.start) & (at < box.stop)).all(axis=1)]
    inside = labels[box.slices((0, 0, 0))]
    nodes = np.unique(np.concatenate([inside[inside > 0], own[:, 0], own[:, 1]]))
    faces = np.zeros(len(nodes), np.uint8)
    for axis in range(3):
        if box.stop[axis] < labels.shape[axis]:
            faces[np.isin(nodes, np.take(inside, -1, axis))] |= HIGH_FACES[axis]
        crossing = (own[:, 4] % 3 == axis) & (np.unravel_index(own[:, 4] // 3, labels.shape)[axis] == box.start[axis])
        faces[np.isin(nodes, own[crossing, 1])] |= LOW_FACES[axis]
        if box.start[axis] > 0:
            beyond = list(box.slices((0, 0, 0)))
            beyond[axis] = slice(box.start[axis] - 1, box.start[axis])
            before, first = labels[tuple(beyond)].take(0, axis), inside.take(0, axis)
            faces[np.isin(nodes, first[first == before])] |= LOW_FACES[axis]
    edges = np.zeros((len(own), 4), np.int64)
    edges[:, PAIR] = pairs_of(np.searchsorted(nodes, own[:, 0]), np.searchsorted(nodes, own[:, 1]))
    edges[:, SUM], edges[:, COUNT], edges[:, FIRST] = own[:, 2], 1, own[:, 4]
    voxels = np.array([sizes[label] for label in nodes.tolist()], np.int64)
    return Waiting.before(nodes.astype(np.uint64), voxels, faces, edges, min_voxels)


@given(
    st.integers(0, 10**6),
    st.tuples(*[st.integers(3, 11)] * 3),
    st.tuples(*[st.integers(1, 6)] * 3),
    st.integers(2, 50),
    st.sampled_from([2, 10, 40, 200]),
    st.sampled_from([1, 3, 1000]),
)
def test_boxes_decide_what_the_volume_decides(  # noqa: PLR0917
    seed: int, shape: tuple[int, int, int], side: tuple[int, int, int], count: int, min_voxels: int, levels: int
) -> None:
    labels = segments(seed, shape, count)
    affinities = np.random.default_rng(seed + 1).integers(0, levels, (3, *shape))
    rows = edges_between(labels, affinities)
    sizes = dict(zip(*(each.tolist() for each in np.unique(labels[labels > 0], return_counts=True)), strict=True))
    expected = in_rounds(sizes, rows, min_voxels)

    grid = Grid(Bbox((0, 0, 0), triple(shape)), side)
    found: dict[int, int] = {}
    voxels: dict[int, int] = {}
    below: dict[tuple[int, int, int], Waiting] = {}
    for level in range(top_level(grid) + 1):
        boxes, inner = level_grid(grid, level), level_grid(grid, level - 1)
        left = {}
        for index in boxes:
            box = boxes.chunk(index)
            if level:
                parts = list(inner.meeting(box))
                waiting = put_together(
                    [below[part] for part in parts], [shared_faces(box, inner.chunk(part)) for part in parts]
                )
            else:
                waiting = waiting_of(box, labels, rows, sizes, min_voxels)
            decided, left[index] = absorb(waiting, min_voxels)
            decided = Decided.of_table(decided.table())
            left[index] = Waiting.of_table(left[index].table())
            for known, columns in (
                (found, (decided.labels, decided.roots)),
                (voxels, (decided.segments, decided.voxels)),
            ):
                new = dict(zip(*(column.tolist() for column in columns), strict=True))
                assert not known.keys() & new.keys(), "decided once"
                known.update(new)
        below = left
    (last,) = below.values()
    assert (last.known == FOREVER).all()
    assert not len(last.gaining)
    assert {label: found.get(label, label) for label in sizes} == expected
    final = Counter[int]()
    for label, root in expected.items():
        final[root] += sizes[label]
    assert voxels == {root: final[root] for root in voxels}
    assert {root for label, root in expected.items() if label != root} <= voxels.keys()


def test_a_segment_that_is_large_keeps_its_label() -> None:
    nodes = np.array([5, 9], np.uint64)
    edges = np.array([[pairs_of(np.array([0]), np.array([1]))[0], 7, 1, 0]], np.int64)
    waiting = Waiting.before(nodes, np.array([2, 80]), np.zeros(2, np.uint8), edges, 10)
    decided, left = absorb(waiting, 10)
    assert (decided.labels.tolist(), decided.roots.tolist()) == ([5], [9])
    assert (decided.segments.tolist(), decided.voxels.tolist()) == ([9], [82])
    assert not len(left.nodes)
