"""The graph between the clusters of a cut: enough to absorb small segments at that threshold and at all above it.

A cut at a higher threshold only joins clusters of a lower one, and edges add up to the same in any order. The edges of
a volume are therefore read once, contracted to the clusters of the lowest threshold, and then contracted further.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from lchunk.operators.absorb import absorb
from lchunk.operators.agglomeration import MOST_EDGES, Merges
from lchunk.operators.cut import above_threshold, roots_of
from lchunk.operators.graph import PAIR, Graph, Labels, ends_of, put_together
from lchunk.operators.labels import relabelled
from lchunk.operators.merging import added_between
from lchunk.operators.waiting import Waiting

BATCH_EDGES = 1 << 20
"""Edges that are gathered before they are added to others."""


@dataclass(frozen=True)
class Cut:
    """The trees of all levels of a volume, cut at one threshold.

    Args:
        levels: for each level, from that of the chunks up, the labels that are merged, ascending, and their roots.
    """

    levels: tuple[tuple[Labels, Labels], ...]

    @classmethod
    def at(cls, trees: Sequence[Merges], threshold: float) -> Self:
        """Cut the tree of each level.

        Raises:
            ValueError: threshold is outside [0, 1].
        """
        kept = (above_threshold(tree, threshold) for tree in trees)
        return cls(tuple((tree.merged, roots_of(tree)) for tree in kept))

    def segments(self, labels: Labels) -> Labels:
        """The segment of each fragment, or of each segment of a cut at a lower threshold; 0 stays 0."""
        for merged, roots in self.levels:
            labels = relabelled(labels, merged, roots)
        return labels


NOTHING = Graph(
    np.empty(0, np.uint64), np.empty(0, np.int64), np.empty(0, np.uint8), np.empty((0, 4), np.int64),
    np.empty((0, 2), np.uint32),
)  # fmt: skip


def clustered(graph: Graph, roots: Labels, *, overwrite: bool = False) -> Graph:
    """The graph between clusters: no edges inside a cluster, and one edge for each pair of clusters that touch.

    Args:
        graph: of a box, or of a volume.
        roots: the label of each node's cluster. A link joins nodes of one cluster, so that no link is left.
        overwrite: reuse the memory of the graph's edges, which are invalid afterwards.

    Raises:
        ValueError: more than `MOST_EDGES` edges.

    >>> edges = np.array([[1, 5, 1, 0], [2, 5, 1, 3], [(1 << 32) + 2, 6, 2, 6]])  # 0 to 1, 0 to 2, 1 to 2
    >>> three = Graph(np.array([4, 6, 9], np.uint64), np.array([2, 3, 7]), np.zeros(3, np.uint8), edges, NOTHING.links)
    >>> two = clustered(three, np.array([4, 4, 9], np.uint64))
    >>> two.nodes.tolist(), two.sizes.tolist(), two.edges.tolist()
    ([4, 9], [5, 7], [[1, 11, 3, 3]])
    """
    if len(graph.edges) > MOST_EDGES:
        raise ValueError(
            f"edges between segments must be at most {MOST_EDGES}, got {len(graph.edges)}; begin at a higher threshold"
        )
    nodes, place = np.unique(roots, return_inverse=True)
    sizes, faces = np.zeros(len(nodes), np.int64), np.zeros(len(nodes), np.uint8)
    np.add.at(sizes, place, graph.sizes)
    np.bitwise_or.at(faces, place, graph.faces)
    edges = added_between(graph.edges if overwrite else graph.edges.copy(), place, len(nodes))
    return Graph(nodes, sizes, faces, edges, NOTHING.links)


def whole_graph(parts: Iterable[Graph]) -> Graph:
    """The graph of a volume from those of its parts, which come one at a time and are never all in memory.

    At any time, memory holds the graph so far, and at most as many edges again, or `BATCH_EDGES` and one part.

    Args:
        parts: of boxes that tile the volume, each contracted to the same clusters (see `clustered`).

    Returns:
        One edge for each pair; the sizes are those in the volume; no faces, as the volume has none.
    """
    held, edges, least = [NOTHING], 0, BATCH_EDGES
    for part in parts:
        held.append(part)
        edges += len(part.edges)
        if edges >= least:
            held = [_sum(held)]
            edges, least = 0, max(BATCH_EDGES, len(held[0].edges))
    return _sum(held)


def _sum(graphs: list[Graph]) -> Graph:
    """The sum of graphs; the list is emptied, so that they need no memory while edges of the same pair are added."""
    together = put_together(graphs, [0] * len(graphs))
    graphs.clear()
    return clustered(together, together.nodes, overwrite=True)


def absorbed(labels: Labels, graph: Graph, min_voxels: int) -> Labels:
    """The segment of each label once small segments have followed their strongest edges.

    Args:
        labels: segments of a volume, in any order; 0 stays 0.
        graph: between all segments of the volume, without faces.
        min_voxels: segments of fewer voxels are small.
    """
    small = graph.sizes < min_voxels
    if not small.any():
        return labels
    u, v = ends_of(graph.edges[:, PAIR])
    # large segments pick no edge, and two of them are never joined: edges between them decide nothing
    edges = graph.edges[small[u] | small[v]]
    decided, _ = absorb(Waiting.before(graph.nodes, graph.sizes, graph.faces, edges, min_voxels), min_voxels)
    return relabelled(labels, decided.labels, decided.roots)
