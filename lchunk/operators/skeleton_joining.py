"""Pieces of a skeleton become one: equal vertices are joined, loops opened, and what is too short removed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.operators.branches import branches_kept
from lchunk.operators.skeletonizing import Skeleton


def join(pieces: Sequence[Skeleton]) -> Skeleton:
    """Put pieces together. Vertices of the same voxel become one, with the smallest radius; edges are kept once.

    Args:
        pieces: one or more, whose radii near a chunk's face may be too large: they know the boundary on one side only.

    Returns:
        The whole, the same for any order of the pieces: vertices in the order of their voxels, z first.
    """
    firsts = np.cumsum([0, *(len(piece.voxels) for piece in pieces)])
    voxels = np.concatenate([piece.voxels for piece in pieces])
    radius = np.concatenate([piece.radius for piece in pieces])
    edges = np.concatenate([piece.edges + first for piece, first in zip(pieces, firsts, strict=False)])
    order = np.lexsort(voxels.T[::-1])
    new = np.append(True, (np.diff(voxels[order], axis=0) != 0).any(axis=1))
    row = np.empty(len(order), np.int64)
    row[order] = np.cumsum(new) - 1
    ends = np.unique(np.sort(row[edges], axis=1), axis=0)
    return Skeleton(voxels[order][new], np.minimum.reduceat(radius[order], np.flatnonzero(new)), ends)


def edge_lengths(
    places: npt.NDArray[Any], edges: npt.NDArray[np.integer], size: tuple[float, float, float] = (1.0, 1.0, 1.0)
) -> npt.NDArray[np.float64]:
    """The length of each edge, nanometres; all together are the length of the cable.

    Args:
        places: (n, 3) vertices zyx.
        edges: (m, 2) rows of the places.
        size: nanometres zyx of the unit of the places.

    >>> edge_lengths(np.array([[0, 0, 0], [0, 3, 4]]), np.array([[0, 1]]), (40, 8, 8)).tolist()
    [40.0]
    """
    ends = places[edges]
    lengths: npt.NDArray[np.float64] = np.sqrt((((ends[:, 1] - ends[:, 0]) * np.array(size)) ** 2).sum(1))
    return lengths


def tidied(skeleton: Skeleton, voxel_size: tuple[float, float, float], *, ticks: float, dust: float) -> Skeleton | None:
    """Remove loops, then ticks, then dust.

    Loops are opened where they are thinnest, so that each component is a tree. A tick is a branch of which too little
    is outside of the balls that fit into the object around the vertices of the longer branches. So it does not matter
    how thick the process is that it leaves, and of two branches side by side in one process, one is a tick.

    Args:
        skeleton: see `join`.
        voxel_size: nanometres zyx.
        ticks: the least length of a branch outside of these balls, nanometres.
        dust: nanometres; components whose edges are shorter than this, all together, are removed.

    Returns:
        What is left, in the same order; None if nothing is.
    """
    lengths = edge_lengths(skeleton.voxels, skeleton.edges, voxel_size)
    tree = _opened(skeleton, lengths)
    skeleton, lengths = Skeleton(skeleton.voxels, skeleton.radius, skeleton.edges[tree]), lengths[tree]
    count = len(skeleton.voxels)
    kept = _without_ticks(skeleton, lengths, voxel_size, ticks)
    edges = kept[skeleton.edges].all(1)
    component = _components(count, skeleton.edges[edges])
    cable = np.bincount(component[skeleton.edges[edges, 0]], lengths[edges], component.max() + 1)
    kept &= cable[component] >= dust
    return _part(skeleton, kept) if kept.any() else None


def _part(skeleton: Skeleton, kept: npt.NDArray[np.bool_]) -> Skeleton:
    """Some vertices of a skeleton, and the edges between them."""
    row = np.cumsum(kept) - 1
    edges = skeleton.edges[kept[skeleton.edges].all(1)]
    return Skeleton(skeleton.voxels[kept], skeleton.radius[kept], row[edges])


def _opened(skeleton: Skeleton, lengths: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Which edges to keep so that there is no loop: of a loop, the thinnest edge goes; of equal ones, the longest."""
    # scipy takes a third of a second, in every process
    from scipy.sparse import coo_array  # noqa: PLC0415
    from scipy.sparse.csgraph import minimum_spanning_tree  # noqa: PLC0415

    thickness = skeleton.radius[skeleton.edges].min(1)
    order = np.lexsort([np.arange(len(lengths)), lengths, -thickness])
    rank = np.empty(len(order))
    rank[order] = np.arange(1, len(order) + 1)
    count = len(skeleton.voxels)
    tree = minimum_spanning_tree(coo_array((rank, skeleton.edges.T), (count, count)).tocsr())
    kept = np.zeros(len(order), np.bool_)
    kept[order[tree.data.astype(np.int64) - 1]] = True
    return kept


def _components(count: int, edges: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
    """The component of each vertex, from 0."""
    from scipy.sparse import coo_array  # noqa: PLC0415
    from scipy.sparse.csgraph import connected_components  # noqa: PLC0415

    graph = coo_array((np.ones(len(edges), np.int8), edges.T), (count, count))
    numbers: npt.NDArray[np.int32] = connected_components(graph, directed=False)[1]
    return numbers


def _without_ticks(
    skeleton: Skeleton, lengths: npt.NDArray[np.float64], voxel_size: tuple[float, float, float], ticks: float
) -> npt.NDArray[np.bool_]:
    """Which vertices of a forest are left without ticks."""
    both = np.concatenate([skeleton.edges, skeleton.edges[:, ::-1]])
    order = np.lexsort(both.T[::-1])
    begins = np.searchsorted(both[order, 0], np.arange(len(skeleton.voxels) + 1))
    places = (skeleton.voxels - skeleton.voxels.min(0)) * np.array(voxel_size)
    kept: npt.NDArray[np.bool_] = branches_kept(
        (begins, both[order, 1], np.concatenate([lengths, lengths])[order]), skeleton.radius.astype(np.float64), places,
        float(ticks),
    )  # fmt: skip
    return kept
