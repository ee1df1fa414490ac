"""The region graph: which fragments touch, over how many voxels, with what total affinity; and which are one object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.geometry.bbox import Triple, triple
from lchunk.operators.affinities import as_float, check_affinities
from lchunk.operators.compiled import njit
from lchunk.operators.graph import COUNT, HIGH_FACES, ONE, PAIR, SUM, Graph, Labels, distinct
from lchunk.operators.labels import firsts_and_sizes
from lchunk.operators.pair_hash import FREE, empty_places, longer, place_of


def region_graph(
    labels: npt.NDArray[np.uint32],
    ids: Labels,
    affinities: npt.NDArray[Any],
    *,
    start: Triple = (0, 0, 0),
    volume_shape: Triple | None = None,
    before: Sequence[Labels] | None = None,
    linked: Sequence[npt.NDArray[np.bool_]] | None = None,
) -> Graph:
    """The graph of a box: edges and links between its voxels, and to the voxels before them.

    Args:
        labels: (z, y, x) of the box, numbers; 0 for background, which has no edge.
        ids: the fragment of each number; entry 0 is 0.
        affinities: (3, z, y, x) of the box, channels x, y, z, in [0, 1] or uint8.
        start: first voxel of the box, zyx from the volume's first voxel.
        volume_shape: voxels of the volume, zyx; default: the box is the volume.
        before: for z, y, x the ids in the plane before the box; 0 where there is none.
        linked: for z, y, x the voxels of the first plane that are linked to the plane before.

    Returns:
        One row per pair, in the order of their first voxels. Graphs of boxes that tile a volume add up to that of the
        volume, exactly.

    Raises:
        ValueError: the shapes differ.
    """
    check_affinities(affinities)
    if labels.shape != affinities.shape[1:]:
        raise ValueError(f"labels must be {affinities.shape[1:]} (z, y, x) as affinities, got {labels.shape}")
    volume_shape = volume_shape or triple(labels.shape)
    planes = before or [np.zeros(np.take(labels, 0, axis).shape, np.uint64) for axis in range(3)]
    nodes, places = _numbered(ids, planes)
    around = _padded(places[labels], [np.searchsorted(nodes, plane).astype(np.uint32) for plane in planes])
    edges = _edges(around, as_float(affinities), np.array(start), np.array(volume_shape))
    edges[:, PAIR] -= (1 << 32) + 1  # places without background
    _, sizes = firsts_and_sizes(around[1:, 1:, 1:].ravel(), len(nodes))
    return Graph(
        nodes[1:], sizes[1:], _faces(around, start, volume_shape, len(nodes))[1:], edges, _links(around, linked)
    )


def _numbered(ids: Labels, planes: Sequence[Labels]) -> tuple[Labels, npt.NDArray[np.uint32]]:
    """Every id, ascending, with 0 first; and the place of each number of the box among them."""
    nodes = distinct(np.concatenate([np.zeros(1, np.uint64), ids, *(distinct(plane) for plane in planes)]))
    return nodes, np.searchsorted(nodes, ids).astype(np.uint32)


def _padded(inside: npt.NDArray[np.uint32], planes: Sequence[npt.NDArray[np.uint32]]) -> npt.NDArray[np.uint32]:
    """(z + 1, y + 1, x + 1): the box with the plane before it along each axis."""
    depth, height, width = inside.shape
    around = np.zeros((depth + 1, height + 1, width + 1), np.uint32)
    around[1:, 1:, 1:] = inside
    around[0, 1:, 1:], around[1:, 0, 1:], around[1:, 1:, 0] = planes
    return around


def _faces(around: npt.NDArray[np.uint32], start: Triple, volume_shape: Triple, count: int) -> npt.NDArray[np.uint8]:
    """Bits of the labels in the last planes: only the box after them sees all of their edges."""
    faces = np.zeros(count, np.uint8)
    for axis, bit in enumerate(HIGH_FACES):
        if start[axis] + around.shape[axis] - 1 < volume_shape[axis]:
            faces[distinct(np.take(around[1:, 1:, 1:], -1, axis))] |= bit
    return faces


def _links(around: npt.NDArray[np.uint32], linked: Sequence[npt.NDArray[np.bool_]] | None) -> npt.NDArray[np.uint32]:
    if linked is None:
        return np.empty((0, 2), np.uint32)
    pairs = []
    for axis, there in enumerate(linked):
        own, other = (np.take(around, n, axis)[1:, 1:][there] for n in (1, 0))
        pairs.append(np.stack([own, other], axis=1) - np.uint32(1))
    return np.unique(np.concatenate(pairs), axis=0)


@njit
def _edges(around: Any, edges: Any, start: Any, volume_shape: Any) -> Any:
    """Rows of pair, sum, count, first, in the order of their first voxels; a pair of numbers u < v is u · 2^32 + v."""
    table, places = np.zeros((1 << 12, 4), np.int64), empty_places(1 << 12)
    used = 0
    depth, height, width = edges.shape[1:]
    last, rows = np.zeros(3, np.int64), np.zeros(3, np.int64)
    for z in range(depth):
        for y in range(height):
            row_start = ((z + start[0]) * volume_shape[1] + y + start[1]) * volume_shape[2] + start[2]
            for x in range(width):
                here = np.int64(around[z + 1, y + 1, x + 1])
                if here == 0:
                    continue
                before = (around[z, y + 1, x + 1], around[z + 1, y, x + 1], around[z + 1, y + 1, x])
                for axis in range(3):
                    there = np.int64(before[axis])
                    if there == 0 or there == here:  # noqa: PLR1714 - numba
                        continue
                    pair = min(here, there) << 32 | max(here, there)
                    if pair != last[axis]:
                        if used == len(table):
                            table = longer(table)
                            places = _placed(table, used)
                        place = place_of(places, table, pair)
                        if places[place] == FREE:
                            places[place] = used
                            table[used] = (pair, 0, 0, 3 * (row_start + x) + axis)
                            used += 1
                        last[axis], rows[axis] = pair, places[place]
                    table[rows[axis], SUM] += np.int64(np.rint(np.float64(edges[2 - axis, z, y, x]) * ONE))
                    table[rows[axis], COUNT] += 1
    return table[:used]


@njit
def _placed(table: Any, used: int) -> Any:
    """A hash of the rows in use, with room for all rows of the table."""
    places = empty_places(len(table))
    for row in range(used):
        places[place_of(places, table, table[row, PAIR])] = row
    return places
