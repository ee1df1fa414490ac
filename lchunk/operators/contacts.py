"""The contacts that hold a segment together: a tree of them, so that the segment falls in two where one is cut.

A merge of the tree of merges joins two clusters, which touch in one or more contacts between fragments. The widest of
these stands for the merge. The contacts of all merges are a tree over the fragments of a segment: where one is cut, the
whole segment falls in two, and not only the cluster of that moment.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from lchunk.operators.agglomeration import Merges
from lchunk.operators.compiled import njit
from lchunk.operators.contraction import clustered
from lchunk.operators.cut import roots_of
from lchunk.operators.graph import COUNT, FIRST, PAIR, SUM, Graph, Labels, Numbers, ends_of, pairs_of
from lchunk.operators.labels import relabelled
from lchunk.operators.merging import joining


@dataclass(frozen=True)
class Contacts:
    """Contacts between two fragments each, in the order of their first voxels.

    Args:
        one: place, in the graph's nodes, of a fragment,
        other: and that of the other fragment.
        first: as in `Graph`.
        mean: affinity between the two clusters that merged; NaN where a small segment followed this contact.
    """

    one: Numbers
    other: Numbers
    first: Numbers
    mean: npt.NDArray[np.float32]


def contacts_within(graph: Graph, merges: Merges, segments: Labels) -> Contacts:
    """For each segment a tree of contacts that connects all of its fragments.

    Args:
        graph: between the fragments of the volume, without links.
        merges: those of the tree that a threshold keeps, without links.
        segments: of each node; those that merges join, and small ones that have followed an edge; 0 for background.

    Returns:
        A contact for each merge; and, for each small segment, the strongest contacts with others of its segment, as
        many as connect them.
    """
    edges = graph.edges
    u, v = ends_of(edges[:, PAIR])
    count = len(graph.nodes)
    into, size = np.arange(count), np.zeros(count, np.int64)
    mean = np.full(count + 1, np.nan, np.float32)
    merged = np.searchsorted(graph.nodes, merges.merged)
    into[merged], size[merged] = np.searchsorted(graph.nodes, merges.into), merges.size
    mean[merged] = merges.mean
    by = _joined_by(u, v, into, size)
    rows = _widest(edges, by)
    rows = rows[by[rows] >= 0]
    apart = np.flatnonzero((by < 0) & (segments[u] == segments[v]) & (segments[u] != 0))
    cut = relabelled(graph.nodes, merges.merged, roots_of(merges))
    followed = strongest_contacts(replace(graph, edges=edges[apart]), cut)[1]
    joined = np.concatenate([by[rows], np.full(len(followed), count)])
    rows = np.concatenate([rows, apart[followed]])
    order = np.argsort(edges[rows, FIRST])
    order = order[segments[u[rows[order]]] != 0]
    rows, joined = rows[order], joined[order]
    return Contacts(u[rows], v[rows], edges[rows, FIRST], mean[joined])


def strongest_contacts(
    graph: Graph, clusters: Labels, inside: npt.NDArray[np.bool_] | None = None
) -> tuple[Graph, npt.NDArray[np.intp]]:
    """A maximum spanning forest of clusters; of equal means, the first voxel decides.

    Args:
        graph: between fragments, with edges between different clusters only.
        clusters: the label of each node's cluster.
        inside: edges that stand for the contact of two clusters before others do, however wide; default: none.

    Returns:
        The graph between clusters with the edges of the forest, the strongest first; and for each of them the row of
        the edge of `graph` that stands for it: the widest.
    """
    between = clustered(graph, clusters)
    means = between.edges[:, SUM] / between.edges[:, COUNT]
    edges = between.edges[np.lexsort((between.edges[:, FIRST], -means))]
    edges = edges[joining(*ends_of(edges[:, PAIR]), len(between.nodes))]
    place = np.searchsorted(between.nodes, clusters)
    u, v = ends_of(graph.edges[:, PAIR])
    pairs = pairs_of(place[u], place[v])
    widest = _widest(graph.edges, pairs, inside)
    return replace(between, edges=edges), widest[np.searchsorted(pairs[widest], edges[:, PAIR])]


def _widest(edges: Numbers, groups: Numbers, inside: npt.NDArray[np.bool_] | None = None) -> npt.NDArray[np.intp]:
    """The row of the edge with most voxels of each group, of equal ones the first; groups ascend."""
    later = np.zeros(len(edges), np.bool_) if inside is None else ~inside
    order = np.lexsort((edges[:, FIRST], -edges[:, COUNT], later, groups))
    _, first = np.unique(groups[order], return_index=True)
    rows: npt.NDArray[np.intp] = order[first]
    return rows


@njit
def _joined_by(one: Any, other: Any, into: Any, size: Any) -> Any:
    """For each pair of fragments the merge that joins their clusters, by the place of its label; -1 if none does.

    A label becomes a smaller one, so the larger of two labels is never above the other one in the tree.

    Args:
        one: place of a fragment,
        other: and that of the other fragment.
        into: for each place the one that it becomes; itself if it is not merged.
        size: voxels of the two clusters of its merge; of labels that become the same, the later one has the larger.
    """
    by = np.empty(len(one), np.int64)
    for row in range(len(one)):
        a, b = one[row], other[row]
        below_a = below_b = -1
        while a != b:
            if a > b:
                if into[a] == a:
                    break
                below_a, a = a, into[a]
            else:
                if into[b] == b:
                    break
                below_b, b = b, into[b]
        if a != b:
            by[row] = -1
        elif below_a < 0 or (below_b >= 0 and size[below_b] > size[below_a]):
            by[row] = below_b
        else:
            by[row] = below_a
    return by
