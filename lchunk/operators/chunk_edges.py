"""The edges of one chunk between supervoxels, which are fragments cut at chunk faces, and which are one segment.

In chunk: both ends are in the chunk. Cross chunk: the watershed joins the two through a face of the chunk. Between
chunks: they only touch there. The last two are in the files of both chunks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from lchunk.operators.graph import COUNT, ONE, PAIR, SUM, Graph, Labels, Numbers, Table, ends_of, pairs_of


@dataclass(frozen=True)
class CutFragments:
    """Parts of fragments that chunk faces cut: supervoxels.

    Args:
        fragments: their labels in region graphs, ascending.
        ids: for each, its id.
        segments: for each, the label of its segment.
    """

    fragments: Labels
    ids: Labels
    segments: Labels

    @classmethod
    def together(cls, parts: Sequence[CutFragments]) -> Self:
        """Those of several chunks."""
        columns = zip(*((part.fragments, part.ids, part.segments) for part in parts), strict=True)
        fragments, ids, segments = map(np.concatenate, columns)
        order = np.argsort(fragments)
        return cls(fragments[order], ids[order], segments[order])

    def places(self, fragments: Labels) -> Numbers:
        """The place of each fragment among these; -1 where it is none of them."""
        found = np.searchsorted(self.fragments, fragments)
        there = np.append(self.fragments, np.uint64(0))[found] == fragments
        return np.where(there, found, -1)


def chunk_edges(
    own: CutFragments, neighbours: Sequence[CutFragments], graphs: Sequence[Graph]
) -> tuple[dict[str, Table], Labels]:
    """The edges of a chunk, and which of its supervoxels, and of those that touch it, are one segment.

    Args:
        own: the supervoxels of the chunk.
        neighbours: those of each chunk that shares a face with it.
        graphs: the region graphs of the chunk and of the chunks after it along each axis.

    Returns:
        For in_chunk, cross_chunk and between_chunk a row per pair, in the order of the ids, as columns: node_ids1, the
        smaller id, or the one inside the chunk; node_ids2; areas, the number of pairs of voxels in which they touch;
        affinities, the sum over these pairs, infinite for cross_chunk. A supervoxel that touches no other one has an
        edge to itself, in_chunk, of infinite affinity and no area.
        For each segment of the chunk: the number of its supervoxels, and their ids, ascending; the segments are in the
        order of their first ids.

    Raises:
        ValueError: a graph names a fragment that no chunk has.
    """
    known = CutFragments.together([own, *neighbours])
    inside = np.zeros(len(known.fragments), np.bool_)
    inside[known.places(own.fragments)] = True
    rows = np.concatenate([_touching(graph, known, inside) for graph in graphs])
    linked, across = rows[:, 2] != 0, ~inside[rows[:, 1]]
    alone = np.setdiff1d(np.flatnonzero(inside), rows[:, :2])
    loops = np.stack([alone, alone, np.ones_like(alone), np.zeros_like(alone), np.zeros_like(alone)], axis=1)
    edges = {
        "in_chunk": _columns(np.concatenate([rows[~across], loops]), known.ids),
        "cross_chunk": _columns(rows[across & linked], known.ids),
        "between_chunk": _columns(rows[across & ~linked], known.ids),
    }
    reached = np.union1d(np.flatnonzero(inside), rows[across, 1])
    members = reached[np.isin(known.segments[reached], own.segments)]
    return edges, _components(known.ids[members], known.segments[members])


def _touching(graph: Graph, known: CutFragments, inside: npt.NDArray[np.bool_]) -> Numbers:
    """The edges of a graph that have an end in a chunk.

    Returns:
        Rows of the place of that end, the place of the other end, whether the two are linked, sum, and count.
    """
    places = known.places(graph.nodes)
    own = np.append(inside, False)[places]
    u, v = ends_of(graph.edges[:, PAIR])
    kept = own[u] | own[v]
    u, v, edges = u[kept], v[kept], graph.edges[kept]
    linked = np.isin(edges[:, PAIR], pairs_of(*graph.links.T))
    one, other = np.where(own[u], places[u], places[v]), np.where(own[u], places[v], places[u])
    if (other < 0).any():
        raise ValueError(
            "the names of neighbouring chunks must hold each fragment of the region graph, but do not: the files come "
            "from different runs; remove the layers and run again"
        )
    return np.stack([one, other, linked, edges[:, SUM], edges[:, COUNT]], axis=1)


def _columns(rows: Numbers, ids: Labels) -> Table:
    """Rows as columns of ids, in their order; linked ones have an infinite affinity."""
    rows = rows[np.lexsort((ids[rows[:, 1]], ids[rows[:, 0]]))]
    affinities: npt.NDArray[Any] = np.where(rows[:, 2] != 0, np.inf, rows[:, 3] / ONE)
    return {
        "node_ids1": ids[rows[:, 0]], "node_ids2": ids[rows[:, 1]], "affinities": affinities.astype(np.float32),
        "areas": rows[:, 4].astype(np.uint64),
    }  # fmt: skip


def _components(ids: Labels, segments: Labels) -> Labels:
    """For each segment the number of its supervoxels, then their ids."""
    distinct, at = np.unique(segments, return_inverse=True)
    firsts = np.full(len(distinct), np.iinfo(np.uint64).max, np.uint64)
    np.minimum.at(firsts, at, ids)
    order = np.lexsort((ids, firsts[at]))
    starts = np.flatnonzero(np.diff(firsts[at][order], prepend=np.uint64(0)))
    sizes = np.diff(np.append(starts, len(ids)))
    return np.insert(ids[order], starts, sizes.astype(np.uint64))
